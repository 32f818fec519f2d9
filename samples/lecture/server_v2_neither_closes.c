// Server v2 with neither close: the parent keeps the connections, the children the listener.
#include "server_setup.h"

enum { CLIENTS = 3 };

int main(void) {
  int server_socket = set_up_server();
  pid_t clients = start_clients(server_socket, CLIENTS, 0);

  for (int served = 0; served < CLIENTS; served++) {
    int conn_socket = accept(server_socket, NULL, NULL);  // EXPECT: socket-conn-leak
    pid_t pid = fork();  // EXPECT: socket-listener-in-child
    if (pid == 0) {
      serve_client(conn_socket);
      close(conn_socket);
      exit(0);
    } else {
      waitpid(pid, NULL, 0);
    }
  }
  close(server_socket);
  waitpid(clients, NULL, 0);
  return 0;
}

// Server v2 without the child's close: each child holds the listening socket while it serves.
#include "server_setup.h"

enum { CLIENTS = 3 };

int main(void) {
  int server_socket = set_up_server();
  pid_t clients = start_clients(server_socket, CLIENTS, 0);

  for (int served = 0; served < CLIENTS; served++) {
    int conn_socket = accept(server_socket, NULL, NULL);
    pid_t pid = fork();  // EXPECT: socket-listener-in-child
    if (pid == 0) {
      serve_client(conn_socket);
      close(conn_socket);
      exit(0);
    } else {
      close(conn_socket);
      waitpid(pid, NULL, 0);
    }
  }
  close(server_socket);
  waitpid(clients, NULL, 0);
  return 0;
}

// Server v3: the parent does not wait for its children, so that clients need not wait for each
// other; but then nobody ever does, and each child that has ended stays a zombie.
#include "server_setup.h"

enum { CLIENTS = 3 };

int main(void) {
  int server_socket = set_up_server();
  pid_t clients = start_clients(server_socket, CLIENTS, 600);

  for (int served = 0; served < CLIENTS; served++) {
    int conn_socket = accept(server_socket, NULL, NULL);
    pid_t pid = fork();  // EXPECT: process-zombie
    if (pid == 0) {
      close(server_socket);
      serve_client(conn_socket);
      close(conn_socket);
      exit(0);
    } else {
      close(conn_socket);
      // wait(NULL);
    }
  }
  close(server_socket);
  waitpid(clients, NULL, 0);
  return 0;
}

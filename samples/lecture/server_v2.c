// Server v2: a process for each connection, so that a crash or a break-in stays in there. The
// parent waits for the child, so clients still wait for each other.
#include "server_setup.h"

enum { CLIENTS = 3 };

int main(void) {
  int server_socket = set_up_server();
  pid_t clients = start_crowd(server_socket, CLIENTS);

  for (int served = 0; served < CLIENTS; served++) {
    // Accept a new client connection, obtaining a new socket
    int conn_socket = accept(server_socket, NULL, NULL);  // EXPECT: socket-serial-server=note
    pid_t pid = fork();
    if (pid == 0) {
      close(server_socket);
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

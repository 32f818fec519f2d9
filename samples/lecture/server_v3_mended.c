// Server v3 mended: a handler for SIGCHLD takes every child that has ended.
// EXPECT: clean
#include <errno.h>
#include <signal.h>

#include "server_setup.h"

enum { CLIENTS = 3 };

static void reap(int signal_number) {
  int saved = errno;
  (void)signal_number;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
  errno = saved;
}

int main(void) {
  struct sigaction action = {.sa_handler = reap, .sa_flags = SA_RESTART};
  sigaction(SIGCHLD, &action, NULL);
  int server_socket = set_up_server();
  start_clients(server_socket, CLIENTS, 600);

  for (int served = 0; served < CLIENTS; served++) {
    int conn_socket = accept(server_socket, NULL, NULL);
    pid_t pid = fork();
    if (pid == 0) {
      close(server_socket);
      serve_client(conn_socket);
      close(conn_socket);
      exit(0);
    } else {
      close(conn_socket);
    }
  }
  close(server_socket);
  while (waitpid(-1, NULL, 0) > 0) {  // whoever the handler did not take
  }
  return 0;
}

// A lecture server (v2 of the slides, reaping by a handler) under 200 connections of its own.
#include <errno.h>
#include <signal.h>

#include "../../samples/lecture/server_setup.h"

enum { CLIENTS = 200, PROCESSES = 4 };

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
  for (int i = 0; i < PROCESSES; i++) start_clients(server_socket, CLIENTS / PROCESSES, 0);
  for (int served = 0; served < CLIENTS; served++) {
    int conn_socket = accept(server_socket, NULL, NULL);
    pid_t pid = fork();
    if (pid == 0) {
      close(server_socket);
      serve_client(conn_socket);
      close(conn_socket);
      exit(0);
    }
    close(conn_socket);
  }
  close(server_socket);
  while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {
  }
  printf("%d served\n", CLIENTS);
  return 0;
}

// A thread for each connection: no protection, but cheaper than a process. Nothing bounds their
// number, and eight clients at once make eight threads.
#include "server_setup.h"

enum { CLIENTS = 8 };

static pthread_barrier_t all_are_here;

static void *serve(void *argument) {
  int conn_socket = (int)(long)argument;
  pthread_barrier_wait(&all_are_here);
  serve_client(conn_socket);
  close(conn_socket);
  return NULL;
}

int main(void) {
  pthread_t threads[CLIENTS];
  pthread_barrier_init(&all_are_here, NULL, CLIENTS);
  int server_socket = set_up_server();
  pid_t clients = start_crowd(server_socket, CLIENTS);

  for (int served = 0; served < CLIENTS; served++) {
    int conn_socket = accept(server_socket, NULL, NULL);
    pthread_create(&threads[served], NULL, serve,  // EXPECT: socket-unbounded-threads
                   (void *)(long)conn_socket);
  }
  for (int i = 0; i < CLIENTS; i++) pthread_join(threads[i], NULL);
  close(server_socket);
  waitpid(clients, NULL, 0);
  return 0;
}

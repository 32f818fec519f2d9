// A bounded pool of threads: the master puts connections into a queue, the workers take them out.
// EXPECT: clean
// STRICT
#include "server_setup.h"

enum { CLIENTS = 12, WORKERS = 3, NO_MORE = -1 };

static struct {
  pthread_mutex_t lock;
  pthread_cond_t filled;
  int connections[CLIENTS + WORKERS];
  int head, tail;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

static void enqueue(int conn_socket) {
  pthread_mutex_lock(&queue.lock);
  queue.connections[queue.tail++] = conn_socket;
  pthread_cond_signal(&queue.filled);
  pthread_mutex_unlock(&queue.lock);
}

static int dequeue(void) {
  pthread_mutex_lock(&queue.lock);
  while (queue.head == queue.tail) pthread_cond_wait(&queue.filled, &queue.lock);
  int conn_socket = queue.connections[queue.head++];
  pthread_mutex_unlock(&queue.lock);
  return conn_socket;
}

static void *worker(void *unused) {
  int conn_socket;
  (void)unused;
  while ((conn_socket = dequeue()) != NO_MORE) {
    serve_client(conn_socket);
    close(conn_socket);
  }
  return NULL;
}

int main(void) {
  pthread_t workers[WORKERS];
  int server_socket = set_up_server();
  pid_t clients = start_crowd(server_socket, CLIENTS);

  for (int i = 0; i < WORKERS; i++) pthread_create(&workers[i], NULL, worker, NULL);
  for (int served = 0; served < CLIENTS; served++)
    enqueue(accept(server_socket, NULL, NULL));
  for (int i = 0; i < WORKERS; i++) enqueue(NO_MORE);
  for (int i = 0; i < WORKERS; i++) pthread_join(workers[i], NULL);
  close(server_socket);
  waitpid(clients, NULL, 0);
  return 0;
}

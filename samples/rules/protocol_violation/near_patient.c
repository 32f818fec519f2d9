// It takes its time, but not too much; a thread of the server answers, through a copy of the
// descriptor.
// OPTIONS: --protocol=patient.protocol
// EXPECT: clean
#include <pthread.h>

#include "../peers.h"

static void client(int fd) {
  char reply[64];
  write(fd, "hello", 6);
  take_text(fd, reply);
}

static void *serve(void *argument) {
  int fd = (int)(intptr_t)argument;
  char request[64];
  take_text(fd, request);
  usleep(20000);
  write(fd, request, strlen(request) + 1);
  close(fd);
  return NULL;
}

static void server(int fd) {
  pthread_t thread;
  pthread_create(&thread, NULL, serve, (void *)(intptr_t)dup(fd));
  pthread_join(thread, NULL);
}

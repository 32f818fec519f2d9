// One thread closes the descriptor, another goes on with its number, which now is another file.
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static int fd;
static pthread_barrier_t step;

static void *writer(void *unused) {
  (void)unused;
  write(fd, "mine", 4);
  pthread_barrier_wait(&step);  // the main thread closes and opens
  pthread_barrier_wait(&step);
  write(fd, "not mine", 8);     // EXPECT: fd-use-after-close
  return NULL;
}

int main(void) {
  pthread_t thread;
  pthread_barrier_init(&step, NULL, 2);
  fd = open("mine", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pthread_create(&thread, NULL, writer, NULL);
  pthread_barrier_wait(&step);
  close(fd);
  int other = open("other", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pthread_barrier_wait(&step);
  pthread_join(thread, NULL);
  close(other);
  unlink("mine");
  unlink("other");
  return other == fd ? 0 : 1;
}

// The worker waits for a condition, but not for ever: after a second it writes what it has.
// EXPECT: clean
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void *worker(void *end) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 1;
  pthread_mutex_lock(&lock);
  while (pthread_cond_timedwait(&changed, &lock, &until) == 0) {
  }
  pthread_mutex_unlock(&lock);
  write(*(int *)end, "x", 1);
  return NULL;
}

int main(void) {
  pthread_t thread;
  int ends[2];
  char byte;
  pipe(ends);
  pthread_create(&thread, NULL, worker, &ends[1]);
  ssize_t n = read(ends[0], &byte, 1);
  pthread_join(thread, NULL);
  close(ends[0]);
  close(ends[1]);
  printf("%zd\n", n);
  return 0;
}

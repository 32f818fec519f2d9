// Threads take lines from a queue. Main reads them from a child up to end-of-file, but holds the
// write end itself: the idle workers would not write there.
// HANGS
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int waiting, over;

static void *worker(void *unused) {
  (void)unused;
  pthread_mutex_lock(&lock);
  for (;;) {
    while (waiting == 0 && !over) pthread_cond_wait(&changed, &lock);
    if (waiting == 0) break;
    --waiting;
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

int main(void) {
  pthread_t workers[3];
  int lines[2];
  char text[64];
  pipe(lines);
  pid_t child = fork();
  if (child == 0) {
    close(lines[0]);
    write(lines[1], "one\ntwo\n", 8);
    _exit(0);
  }
  for (int i = 0; i < 3; i++) pthread_create(&workers[i], NULL, worker, NULL);
  while (read(lines[0], text, sizeof(text)) > 0) {  // EXPECT: pipe-no-eof
    pthread_mutex_lock(&lock);
    ++waiting;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
  }
  pthread_mutex_lock(&lock);
  over = 1;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < 3; i++) pthread_join(workers[i], NULL);
  waitpid(child, NULL, 0);
  return 0;
}

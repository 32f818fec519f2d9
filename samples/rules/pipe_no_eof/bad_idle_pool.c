// The parent waits for its child, which reads to an end-of-file that the parent's own write end
// holds back. That a thread of the parent sleeps at a semaphore changes nothing.
// HANGS
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

static sem_t work;

static void *worker(void *unused) {
  sem_wait(&work);
  return unused;
}

int main(void) {
  int ends[2];
  pthread_t thread;
  char text[16];
  pipe(ends);
  pid_t child = fork();
  if (child == 0) {
    close(ends[1]);
    while (read(ends[0], text, sizeof(text)) > 0) {  // EXPECT: pipe-no-eof
    }
    _exit(0);
  }
  close(ends[0]);
  sem_init(&work, 0, 0);
  pthread_create(&thread, NULL, worker, NULL);
  waitpid(child, NULL, 0);
  close(ends[1]);
  sem_post(&work);
  pthread_join(thread, NULL);
  return 0;
}

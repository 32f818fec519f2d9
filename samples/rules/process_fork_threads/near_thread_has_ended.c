// The thread was joined before fork: the child is a whole process.
// EXPECT: clean
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *prepare(void *unused) { return unused; }

int main(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, prepare, NULL);
  pthread_join(thread, NULL);
  pid_t pid = fork();
  if (pid == 0) {
    printf("child\n");
    exit(0);
  }
  waitpid(pid, NULL, 0);
  return 0;
}

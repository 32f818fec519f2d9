// A process with a second thread forks, and the child prints before it runs the command.
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_barrier_t both;

static void *logger(void *unused) {
  pthread_barrier_wait(&both);
  pthread_barrier_wait(&both);
  return unused;
}

int main(void) {
  pthread_t thread;
  pthread_barrier_init(&both, NULL, 2);
  pthread_create(&thread, NULL, logger, NULL);
  pthread_barrier_wait(&both);
  pid_t pid = fork();  // EXPECT: process-fork-threads
  if (pid == 0) {
    printf("running the command\n");
    fflush(stdout);
    execlp("true", "true", (char *)NULL);
    _exit(127);
  }
  waitpid(pid, NULL, 0);
  pthread_barrier_wait(&both);
  pthread_join(thread, NULL);
  return 0;
}

// The reader holds the write end itself: it reads until a signal from its helper interrupts it.
// EXPECT: clean
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void interrupt(int number) { (void)number; }

int main(void) {
  int fds[2];
  char byte;
  struct sigaction action = {.sa_handler = interrupt};
  sigaction(SIGUSR1, &action, NULL);
  pipe(fds);
  pid_t parent = getpid();
  pid_t helper = fork();
  if (helper == 0) {
    close(fds[0]);
    close(fds[1]);
    for (;;) {
      usleep(400000);  // until long after the parent has begun to read
      kill(parent, SIGUSR1);
    }
  }
  while (read(fds[0], &byte, 1) > 0) {
  }
  kill(helper, SIGKILL);
  waitpid(helper, NULL, 0);
  close(fds[0]);
  close(fds[1]);
  return 0;
}

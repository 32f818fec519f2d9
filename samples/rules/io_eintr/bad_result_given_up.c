// SIGUSR1 says that the child has begun; it also breaks off the read of the result, which the
// parent takes for a failure. The result, which comes later, is never read.
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void note(int signal_number) { (void)signal_number; }

int main(void) {
  struct sigaction action = {.sa_handler = note};
  int ends[2];
  char result[16];
  sigaction(SIGUSR1, &action, NULL);
  pipe(ends);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    usleep(100000);
    kill(getppid(), SIGUSR1);
    usleep(100000);
    close(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  ssize_t got = read(ends[0], result, sizeof(result));  // EXPECT: io-eintr
  if (got < 0) perror("read");
  close(ends[0]);
  waitpid(pid, NULL, 0);
  return 0;
}

// The interrupted read is called again. And an alarm that is to break off a read does just that.
// EXPECT: clean
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void note(int signal_number) { (void)signal_number; }

int main(void) {
  struct sigaction action = {.sa_handler = note};
  int ends[2];
  char result[16];
  ssize_t got;
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGALRM, &action, NULL);
  pipe(ends);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    usleep(50000);
    kill(getppid(), SIGUSR1);
    usleep(50000);
    write(ends[1], "result", 6);
    usleep(1500000);
    close(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  do got = read(ends[0], result, sizeof(result));
  while (got < 0 && errno == EINTR);
  alarm(1);
  got = read(ends[0], result, sizeof(result));  // waits for one second at most
  close(ends[0]);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
  }
  return got < 0 ? 0 : 1;
}

// A timer that ticks for a progress display breaks off the read of the result.
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t ticks;

static void tick(int signal_number) {
  (void)signal_number;
  ticks++;
}

int main(void) {
  struct sigaction action = {.sa_handler = tick};
  struct itimerval clock = {{0, 100000}, {0, 100000}}, off = {{0, 0}, {0, 0}};
  int ends[2];
  char result[16];
  pipe(ends);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    usleep(400000);
    close(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &clock, NULL);
  ssize_t got = read(ends[0], result, sizeof(result));  // EXPECT: io-eintr
  setitimer(ITIMER_REAL, &off, NULL);
  if (got < 0) perror("read");
  close(ends[0]);
  waitpid(pid, NULL, 0);
  return 0;
}

// A pipe to oneself, to be woken by a signal: the last bytes say nothing new and stay unread.
// EXPECT: clean
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

static int fd[2];

static void wake(int signal) {
  (void)signal;
  write(fd[1], "!", 1);
}

int main(void) {
  pipe2(fd, O_NONBLOCK | O_CLOEXEC);
  signal(SIGUSR1, wake);
  raise(SIGUSR1);
  raise(SIGUSR1);
  struct pollfd wish = {.fd = fd[0], .events = POLLIN};
  poll(&wish, 1, -1);
  char byte;
  read(fd[0], &byte, 1);
  close(fd[0]);
  close(fd[1]);
  return 0;
}

// The same pipe, but poll tells when there is something; a few tries in vain do no harm.
// EXPECT: clean
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int ends[2];
  char buffer[16];
  ssize_t got;
  pipe(ends);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    usleep(50000);
    write(ends[1], "ready", 5);
    close(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  for (int i = 0; i < 100; i++) read(ends[0], buffer, sizeof(buffer));
  struct pollfd ready = {.fd = ends[0], .events = POLLIN};
  do {
    poll(&ready, 1, -1);
    got = read(ends[0], buffer, sizeof(buffer));
  } while (got < 0 && errno == EAGAIN);
  close(ends[0]);
  waitpid(pid, NULL, 0);
  return 0;
}

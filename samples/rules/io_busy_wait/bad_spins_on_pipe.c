// The non-blocking pipe is asked again and again until the child has written.
#include <errno.h>
#include <fcntl.h>
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
    usleep(300000);
    write(ends[1], "ready", 5);
    close(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  do got = read(ends[0], buffer, sizeof(buffer));  // EXPECT: io-busy-wait
  while (got < 0 && errno == EAGAIN);
  close(ends[0]);
  waitpid(pid, NULL, 0);
  return 0;
}

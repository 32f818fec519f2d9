// The reader goes with bytes unread, and the writer learns it at its next write.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  char byte;
  signal(SIGPIPE, SIG_IGN);
  pipe(fd);
  if (fork() == 0) {
    close(fd[1]);
    read(fd[0], &byte, 1);
    return 0;
  }
  close(fd[0]);
  write(fd[1], "several bytes", 13);
  wait(NULL);
  write(fd[1], "and more", 8);  // EXPECT: pipe-broken
  close(fd[1]);
  return 0;
}

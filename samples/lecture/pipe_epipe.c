// The same with SIGPIPE ignored: the write fails with EPIPE. The reader is a child that has left.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  char byte;
  int pipe_fd[2];
  signal(SIGPIPE, SIG_IGN);
  if (pipe(pipe_fd) == -1) return 1;

  pid_t pid = fork();
  if (pid == 0) {
    close(pipe_fd[1]);
    read(pipe_fd[0], &byte, 1);  // one byte is enough for it
    return 0;
  }
  close(pipe_fd[0]);
  write(pipe_fd[1], "a", 1);
  waitpid(pid, NULL, 0);
  if (write(pipe_fd[1], "b", 1) == -1)  // EXPECT: pipe-broken
    printf("write: %s\n", strerror(errno));
  close(pipe_fd[1]);
  return 0;
}

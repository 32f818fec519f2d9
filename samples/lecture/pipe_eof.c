// End-of-file on a pipe: once the last write end is closed, the reader gets 0.
// EXPECT: clean
// STRICT
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  char buf[16];
  ssize_t got, total = 0;
  int pipe_fd[2];
  if (pipe(pipe_fd) == -1) return 1;

  pid_t pid = fork();
  if (pid == 0) {
    close(pipe_fd[0]);
    for (int line = 0; line < 5; line++) write(pipe_fd[1], "one line\n", 9);
    close(pipe_fd[1]);
    return 0;
  }
  close(pipe_fd[1]);  // or the loop below would wait for this process itself
  while ((got = read(pipe_fd[0], buf, sizeof(buf))) > 0) total += got;
  printf("%zd bytes, then end-of-file\n", total);
  close(pipe_fd[0]);
  waitpid(pid, NULL, 0);
  return 0;
}

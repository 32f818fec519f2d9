// The command opens the pipe by the name /dev/fd/N, and the parent keeps the write end.
// HANGS
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  char path[32];
  pipe(fd);
  pid_t child = fork();
  if (child == 0) {
    close(fd[1]);
    snprintf(path, sizeof(path), "/dev/fd/%d", fd[0]);
    execlp("cat", "cat", path, (char *)NULL);
    _exit(127);
  }
  close(fd[0]);
  write(fd[1], "named\n", 6);
  waitpid(child, NULL, 0);  // EXPECT: pipe-no-eof
  return 0;
}

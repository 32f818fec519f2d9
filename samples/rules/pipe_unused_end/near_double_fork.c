// A double fork: the process in the middle holds both ends, but does nothing and exits at once.
// EXPECT: clean
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  char byte;
  pipe(fd);
  pid_t middle = fork();
  if (middle == 0) {
    if (fork() != 0) _exit(0);
    close(fd[0]);
    write(fd[1], "x", 1);
    _exit(0);
  }
  close(fd[1]);
  waitpid(middle, NULL, 0);
  while (read(fd[0], &byte, 1) == 1) {
  }
  close(fd[0]);
  return 0;
}

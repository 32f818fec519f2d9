// The child takes the first of three orders and leaves; the parent never learns about the others.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  char order[8];
  pipe(fd);
  pid_t child = fork();
  if (child == 0) {
    close(fd[1]);
    sleep(1);
    read(fd[0], order, sizeof(order));
    close(fd[0]);  // EXPECT: pipe-data-lost
    exit(0);
  }
  close(fd[0]);
  write(fd[1], "dig it\n", 8);
  write(fd[1], "fill it", 8);
  write(fd[1], "go home", 8);
  close(fd[1]);
  waitpid(child, NULL, 0);
  return 0;
}

// The child has closed its copies, and says so in the variables. It goes on to read there all the same,
// and to wait for itself.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  char byte = '?';
  pipe(fd);
  if (fork() == 0) {
    write(fd[1], "c", 1);
    close(fd[0]);
    close(fd[1]);
    fd[0] = fd[1] = -1;
  }
  close(fd[1]);
  read(fd[0], &byte, 1);
  close(fd[0]);
  wait(NULL);  // EXPECT: process-child-fallthrough
  printf("the child says %c\n", byte);
  return 0;
}

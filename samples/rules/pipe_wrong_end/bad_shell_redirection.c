// The shell is told to write to a number that is the end for reading. No line of the shell's can help.
// SAYS: the other end of the pipe in place of fd 3
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
  int fds[2];
  char command[32], answer[16];
  pipe(fds);
  fcntl(fds[1], F_SETFD, FD_CLOEXEC);
  snprintf(command, sizeof(command), "echo hello >&%d", fds[0]);
  system(command);  // EXPECT: pipe-wrong-end
  close(fds[1]);
  read(fds[0], answer, sizeof(answer));
  close(fds[0]);
  return 0;
}

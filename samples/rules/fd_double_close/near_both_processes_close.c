// Parent and child each close their copy, and close(-1) is harmless.
// EXPECT: clean
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void close_both(int fd[2]) {
  for (int i = 0; i < 2; i++) {
    close(fd[i]);
    fd[i] = -1;
  }
}

int main(void) {
  int fd[2];
  pipe(fd);
  if (fork() == 0) {
    write(fd[1], "c", 1);
    close_both(fd);
    exit(0);
  }
  char byte;
  read(fd[0], &byte, 1);
  close_both(fd);
  close_both(fd);
  wait(NULL);
  return 0;
}

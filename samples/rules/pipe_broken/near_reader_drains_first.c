// The reader closes its end only after it has seen end-of-file.
// EXPECT: clean
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  char block[512];
  pipe(fd);
  if (fork() == 0) {
    close(fd[1]);
    while (read(fd[0], block, sizeof(block)) > 0) {
    }
    close(fd[0]);
    exit(0);
  }
  close(fd[0]);
  memset(block, 'x', sizeof(block));
  for (int i = 0; i < 200; i++) write(fd[1], block, sizeof(block));
  close(fd[1]);
  wait(NULL);
  return 0;
}

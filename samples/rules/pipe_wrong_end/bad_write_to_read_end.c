// Index 0 is the end to read from; the child writes to it.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  char text[16];
  pipe(fd);
  if (fork() == 0) {
    if (write(fd[0], "hello", 5) != 5)  // EXPECT: pipe-wrong-end
      perror("write");
    close(fd[0]);
    close(fd[1]);
    exit(0);
  }
  close(fd[1]);
  ssize_t got = read(fd[0], text, sizeof(text));
  printf("%zd bytes\n", got);
  close(fd[0]);
  wait(NULL);
  return 0;
}

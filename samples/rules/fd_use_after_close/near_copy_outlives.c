// The original is closed; its copy and the child's are not.
// EXPECT: clean
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  char text[4];
  pipe(fd);
  int copy = dup(fd[1]);
  close(fd[1]);
  write(copy, "one", 3);
  if (fork() == 0) {
    close(fd[0]);
    write(copy, "two", 3);
    close(copy);
    exit(0);
  }
  close(copy);
  while (read(fd[0], text, sizeof(text)) > 0) {
  }
  close(fd[0]);
  wait(NULL);
  return 0;
}

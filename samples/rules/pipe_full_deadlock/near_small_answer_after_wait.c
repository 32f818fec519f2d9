// The parent waits before it reads, but the answer is sure to fit into the pipe.
// EXPECT: clean
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2], status;
  char answer[16];
  pipe(fd);
  pid_t child = fork();
  if (child == 0) {
    close(fd[0]);
    write(fd[1], "all is well", 11);
    close(fd[1]);
    exit(0);
  }
  close(fd[1]);
  waitpid(child, &status, 0);
  while (read(fd[0], answer, sizeof(answer)) > 0) {
  }
  close(fd[0]);
  return WEXITSTATUS(status);
}

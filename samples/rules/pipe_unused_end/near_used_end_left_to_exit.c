// Each process closes the end it does not use, and leaves the end it uses to exit.
// EXPECT: clean
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  int numbers[4] = {3, 1, 4, 1}, sum = 0, n;
  pipe(fd);
  pid_t child = fork();
  if (child == 0) {
    close(fd[1]);
    while (read(fd[0], &n, sizeof(n)) == sizeof(n)) {
      sum += n;
      if (n == 4) break;
    }
    read(fd[0], &n, sizeof(n));
    exit(sum == 8 ? 0 : 1);
  }
  close(fd[0]);
  write(fd[1], numbers, sizeof(numbers));
  int status;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

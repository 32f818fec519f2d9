// The parent waits for the child before it reads what the child has to say: more than a pipe holds.
// HANGS
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void report(int out) {
  char line[64];
  for (int i = 0; i < 4000; i++) {
    int length = snprintf(line, sizeof(line), "result %d is in order\n", i);
    write(out, line, (size_t)length);  // EXPECT: pipe-full-deadlock
  }
}

int main(void) {
  int fd[2], status;
  char block[4096];
  long total = 0;
  ssize_t got;
  pipe(fd);
  pid_t child = fork();
  if (child == 0) {
    close(fd[0]);
    report(fd[1]);
    exit(0);
  }
  close(fd[1]);
  waitpid(child, &status, 0);
  while ((got = read(fd[0], block, sizeof(block))) > 0) total += got;
  printf("%ld bytes\n", total);
  return 0;
}

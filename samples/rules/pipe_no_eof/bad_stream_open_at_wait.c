// The child counts lines on its standard input, the parent prints them through a stream. It flushes,
// but does not close the stream before it waits.
// HANGS
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  pipe(fd);
  if (fork() == 0) {
    dup2(fd[0], STDIN_FILENO);
    close(fd[0]);
    close(fd[1]);
    FILE *lines = stdin;
    char line[32];
    int count = 0;
    while (fgets(line, sizeof(line), lines) != NULL)  // EXPECT: pipe-no-eof
      count++;
    printf("%d lines\n", count);
    return 0;
  }
  close(fd[0]);
  FILE *out = fdopen(fd[1], "w");
  fprintf(out, "cherry\nbanana\napple\n");
  fflush(out);
  wait(NULL);
  fclose(out);
  return 0;
}

// The pipe is full to the last byte when the child leaves by exit, which has still to write out what
// is in the stream's buffer. Its parent waits for its end before it reads.
// HANGS
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int report[2];
  if (pipe(report) != 0) return 1;
  pid_t child = fork();
  if (child == 0) {
    static char page[65536];
    close(report[0]);
    write(report[1], page, sizeof(page));
    FILE* out = fdopen(report[1], "w");
    fprintf(out, "the last line\n");
    exit(0);  // EXPECT: pipe-full-deadlock
  }
  close(report[1]);
  waitpid(child, NULL, 0);
  char text[4096];
  while (read(report[0], text, sizeof(text)) > 0) {
  }
  return 0;
}

// A FILE* over a pipe without a reader: fprintf seems to work, and the fclose that writes the
// buffer out meets EPIPE.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  signal(SIGPIPE, SIG_IGN);
  pipe(fd);
  close(fd[0]);
  FILE *out = fdopen(fd[1], "w");
  for (int i = 0; i < 10; i++) fprintf(out, "line %d\n", i);
  fclose(out);  // EXPECT: pipe-broken
  return 0;
}

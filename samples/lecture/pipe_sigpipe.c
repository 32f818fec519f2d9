// A write after the last read end was closed: SIGPIPE ends the writer.
// EXIT: SIGPIPE
#include <stdio.h>
#include <unistd.h>

int main(void) {
  int pipe_fd[2];
  if (pipe(pipe_fd) == -1) return 1;
  close(pipe_fd[0]);
  write(pipe_fd[1], "is anybody there?", 17);  // EXPECT: pipe-broken
  fprintf(stderr, "never reached\n");
  return 0;
}

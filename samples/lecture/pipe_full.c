// A pipe is a bounded queue: who writes more than it holds waits for a reader, and here there is
// none but the writer itself.
// HANGS
#include <stdio.h>
#include <unistd.h>

int main(void) {
  static char block[4096];
  int pipe_fd[2];
  if (pipe(pipe_fd) == -1) return 1;
  for (int i = 0; i < 1000; i++)
    write(pipe_fd[1], block, sizeof(block));  // EXPECT: pipe-full-deadlock
  for (int i = 0; i < 1000; i++) read(pipe_fd[0], block, sizeof(block));
  close(pipe_fd[0]);
  close(pipe_fd[1]);
  return 0;
}

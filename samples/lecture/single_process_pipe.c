// A pipe inside one process: what goes in at one end comes out at the other.
// EXPECT: clean
// STRICT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  const char *msg = "Message in a pipe.\n";
  char buf[1024];
  int pipe_fd[2];
  if (pipe(pipe_fd) == -1) {
    fprintf(stderr, "Pipe failed.\n");
    return EXIT_FAILURE;
  }
  ssize_t written = write(pipe_fd[1], msg, strlen(msg) + 1);
  printf("Sent: %s [%zu, %zd]\n", msg, strlen(msg) + 1, written);

  ssize_t got = read(pipe_fd[0], buf, sizeof(buf));
  printf("Rcvd: %s [%zd]\n", buf, got);

  close(pipe_fd[0]);
  close(pipe_fd[1]);
  return 0;
}

// A channel from parent to child, as in the lecture: each side closes the end it does not use, if
// only when it is done.
// EXPECT: clean
// STRICT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  const char *msg = "Message in a pipe.\n";
  size_t msglen = strlen(msg) + 1;
  char buf[1024];
  int pipe_fd[2];
  if (pipe(pipe_fd) == -1) {
    fprintf(stderr, "Pipe failed.\n");
    return EXIT_FAILURE;
  }
  pid_t pid = fork();
  if (pid < 0) {
    fprintf(stderr, "Fork failed.\n");
    return EXIT_FAILURE;
  }
  if (pid != 0) {
    ssize_t written = write(pipe_fd[1], msg, msglen);
    printf("Parent: %s [%zu, %zd]\n", msg, msglen, written);
    close(pipe_fd[0]);
  } else {
    ssize_t got = read(pipe_fd[0], buf, sizeof(buf));
    printf("Child Rcvd: %s [%zd]\n", buf, got);
    close(pipe_fd[1]);
  }
  return 0;
}

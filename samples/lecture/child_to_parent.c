// The other direction: the child writes, the parent reads.
// EXPECT: clean
// STRICT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  const char *msg = "Message from the child.\n";
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
  if (pid == 0) {
    close(pipe_fd[0]);
    ssize_t written = write(pipe_fd[1], msg, msglen);
    printf("Child: %s [%zu, %zd]\n", msg, msglen, written);
    close(pipe_fd[1]);
  } else {
    close(pipe_fd[1]);
    ssize_t got = read(pipe_fd[0], buf, sizeof(buf));
    printf("Parent Rcvd: %s [%zd]\n", buf, got);
    close(pipe_fd[0]);
    wait(NULL);
  }
  return 0;
}

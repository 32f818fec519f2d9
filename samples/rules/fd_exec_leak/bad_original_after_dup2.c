// The write end was put at descriptor 1, and its own number stays open beside it: the program that is
// started holds the pipe twice, and closes it once.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int out[2];
  if (pipe(out) != 0) return 1;
  if (fork() == 0) {  // EXPECT: fd-exec-leak
    close(out[0]);
    dup2(out[1], STDOUT_FILENO);
    execlp("echo", "echo", "hello", (char*)NULL);
    _exit(127);
  }
  close(out[1]);
  char text[64];
  while (read(out[0], text, sizeof(text)) > 0) {
  }
  close(out[0]);
  wait(NULL);
  return 0;
}

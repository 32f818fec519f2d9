// Three workers were wanted; the child has no exit, goes on with the loop and forks workers of its
// own: seven.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void work(int number) {
  char line[32];
  int length = snprintf(line, sizeof(line), "worker %d\n", number);
  write(STDOUT_FILENO, line, (size_t)length);
}

int main(void) {
  for (int i = 0; i < 3; i++) {
    pid_t pid = fork();  // EXPECT: process-child-fallthrough
    if (pid == 0) work(i);
  }
  while (wait(NULL) > 0) {
  }
  return 0;
}

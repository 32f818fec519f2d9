// Two workers were wanted. The first one does its work and runs on to its parent's second fork.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void work(const char *text, size_t length) { write(STDOUT_FILENO, text, length); }

int main(void) {
  pid_t first = fork();
  if (first == 0) work("the first\n", 10);
  pid_t second = fork();  // EXPECT: process-child-fallthrough
  if (second == 0) {
    work("the second\n", 11);
    exit(0);
  }
  waitpid(second, NULL, 0);
  if (first > 0) waitpid(first, NULL, 0);
  return 0;
}

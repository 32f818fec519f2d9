// Everybody runs the same last lines on purpose: wait for all children, be there some or none.
// EXPECT: clean
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  for (int depth = 0; depth < 3; depth++) {
    pid_t pid = fork();
    if (pid != 0) break;
    write(STDOUT_FILENO, "a link\n", 7);
  }
  while (wait(NULL) > 0) {
  }
  return 0;
}

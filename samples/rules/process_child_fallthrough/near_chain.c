// A chain: each process forks the next and leaves the loop, so only the newest goes on in it.
// EXPECT: clean
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  char line[32];
  for (int i = 0; i < 3; i++) {
    pid_t pid = fork();
    if (pid > 0) {
      waitpid(pid, NULL, 0);
      break;
    }
    int length = snprintf(line, sizeof(line), "link %d\n", i);
    write(STDOUT_FILENO, line, (size_t)length);
  }
  return 0;
}

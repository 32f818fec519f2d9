// The banner is still in stdout's buffer at fork (a file or pipe is fully buffered), so parent and
// child each print it.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  printf("results:\n");
  pid_t pid = fork();  // EXPECT: stdio-fork-duplicate
  if (pid == 0) {
    printf("from the child\n");
    return 0;
  }
  waitpid(pid, NULL, 0);
  printf("from the parent\n");
  return 0;
}

// Nothing ends the child's branch: it prints what its parent prints, and waits for "pid", which is 0
// in the child and so means any child. It has none.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) {
    write(STDOUT_FILENO, "in the child\n", 13);
  }
  waitpid(pid, &status, 0);  // EXPECT: process-child-fallthrough
  write(STDOUT_FILENO, "all done\n", 9);
  return 0;
}

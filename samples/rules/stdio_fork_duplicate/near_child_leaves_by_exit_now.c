// Output is pending at fork, but the child leaves by _exit and never writes its copy.
// EXPECT: clean
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  printf("only once");
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  waitpid(pid, NULL, 0);
  printf(", please\n");
  return 0;
}

// Output is pending at fork, but the child's copy goes with its memory at exec. (The parent prints
// only after the child has ended.)
// EXPECT: clean
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  printf("the parent's line\n");
  if (fork() == 0) {
    execlp("true", "true", (char *)NULL);
    _exit(127);
  }
  wait(NULL);
  return 0;
}

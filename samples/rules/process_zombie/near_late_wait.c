// The child has long ended when the parent takes its status: late, but taken.
// EXPECT: clean
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int status;
  pid_t child = fork();
  if (child == 0) _exit(0);
  usleep(800000);
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

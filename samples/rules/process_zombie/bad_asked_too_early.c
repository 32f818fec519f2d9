// The parent asks once, while the child still runs, and takes the answer for good.
// SAYS: did not wait for it again after waitpid with WNOHANG had come too early
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int gate[2];
  pipe(gate);
  pid_t child = fork();  // EXPECT: process-zombie
  if (child == 0) {
    char byte;
    close(gate[1]);
    read(gate[0], &byte, 1);
    _exit(0);
  }
  close(gate[0]);
  if (waitpid(child, NULL, WNOHANG) == 0) puts("still at work");
  close(gate[1]);
  for (int i = 0; i < 8; i++) usleep(100000);
  return 0;
}

// A tree without recursion: each process makes a left and a right child, and these make theirs by the
// same lines, one level deeper.
// EXPECT: clean
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int level = 0;
  while (level < 2) {
    if (fork() == 0) {
      level++;
      write(STDOUT_FILENO, "left\n", 5);
      continue;
    }
    if (fork() == 0) {
      level++;
      write(STDOUT_FILENO, "right\n", 6);
      continue;
    }
    break;
  }
  while (wait(NULL) > 0) {
  }
  return 0;
}

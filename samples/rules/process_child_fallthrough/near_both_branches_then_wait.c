// Parent and child each have a branch of their own, and meet again behind it on purpose.
// EXPECT: clean
// STRICT
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  if (fork() == 0) {
    write(STDOUT_FILENO, "in the child\n", 13);
  } else {
    write(STDOUT_FILENO, "in the parent\n", 14);
  }
  wait(NULL);
  write(STDOUT_FILENO, "in both\n", 8);
  return 0;
}

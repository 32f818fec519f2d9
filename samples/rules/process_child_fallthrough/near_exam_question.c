// The question of many an exam, how many lines are there? Parent and child both say who they are, and
// both fork once more.
// EXPECT: clean
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  if (fork() == 0) {
    write(STDOUT_FILENO, "a child\n", 8);
  } else {
    write(STDOUT_FILENO, "a parent\n", 9);
  }
  fork();
  write(STDOUT_FILENO, "one of four\n", 12);
  while (wait(NULL) > 0) {
  }
  return 0;
}

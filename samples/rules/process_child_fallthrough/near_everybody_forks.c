// Three times everybody forks, which makes eight: parent and child do the same all along.
// EXPECT: clean
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  for (int i = 0; i < 3; i++) fork();
  dprintf(STDOUT_FILENO, "one of eight\n");
  while (wait(NULL) > 0) {
  }
  return 0;
}

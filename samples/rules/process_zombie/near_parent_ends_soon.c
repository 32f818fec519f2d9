// The parent does not wait, but ends at once: the child becomes init's.
// EXPECT: clean
#include <unistd.h>

int main(void) {
  if (fork() == 0) _exit(0);
  return 0;
}

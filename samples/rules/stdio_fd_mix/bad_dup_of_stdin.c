// The child gets a copy of the parent's standard input, of which the parent's stream has already
// swallowed all.
// STDIN: first\nsecond\nthird\n
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  char line[32];
  int copy = dup(STDIN_FILENO);
  if (fgets(line, sizeof(line), stdin) == NULL) return 1;
  if (fork() == 0) {
    char rest[32];
    ssize_t got = read(copy, rest, sizeof(rest));  // EXPECT: stdio-fd-mix
    _exit(got == 0 ? 0 : 1);
  }
  wait(NULL);
  close(copy);
  return 0;
}

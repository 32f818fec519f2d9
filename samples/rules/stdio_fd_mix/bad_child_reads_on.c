// The child reads on from standard input with read. What its parent's stream had read ahead is in
// the child's copy of the stream, and read does not see it.
// STDIN: first\nsecond\nthird\n
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  char line[32];
  if (fgets(line, sizeof(line), stdin) == NULL) return 1;
  if (fork() == 0) {
    ssize_t got = read(STDIN_FILENO, line, sizeof(line));  // EXPECT: stdio-fd-mix
    _exit(got == 0 ? 0 : 1);
  }
  wait(NULL);
  while (fgets(line, sizeof(line), stdin) != NULL) fputs(line, stdout);
  return 0;
}

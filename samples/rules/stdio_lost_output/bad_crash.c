// A program that crashes takes the end of its log with it, as far as the buffer was not full.
// EXIT: SIGSEGV
#include <signal.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  char line[3000];
  FILE *log = fopen("crash.log", "w");
  memset(line, '.', sizeof(line) - 1);
  line[sizeof(line) - 1] = '\0';
  fputs(line, log);
  fputs(line, log);  // EXPECT: stdio-lost-output
  remove("crash.log");
  raise(SIGSEGV);
  return 0;
}

// What was printed for a command that popen started is lost, and the command sees end-of-file.
#include <stdio.h>
#include <unistd.h>

int main(void) {
  FILE* command = popen("cat", "w");
  if (command == NULL) return 1;
  fprintf(command, "a line for cat\n");
  _exit(0);  // EXPECT: stdio-lost-output
}

// What a command has printed is to be read twice, but its stream is a pipe. rewind returns nothing
// that could be checked.
#include <stdio.h>

int main(void) {
  char word[16];
  FILE* command = popen("echo hello", "r");
  while (fgets(word, sizeof(word), command) != NULL) {
  }
  rewind(command);  // EXPECT: io-seek-on-stream
  pclose(command);
  return 0;
}

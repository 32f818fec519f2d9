// Each of two functions reads up to end-of-file: the second meets it at once, which is no loop.
// STDIN: a\nb\n
// EXPECT: clean
#include <stdio.h>

static int count_lines(FILE *in) {
  char line[32];
  int lines = 0;
  while (fgets(line, sizeof(line), in) != NULL) lines++;
  return lines;
}

int main(void) {
  int first = count_lines(stdin);
  int second = count_lines(stdin);
  return first == 2 && second == 0 ? 0 : 1;
}

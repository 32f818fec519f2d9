// fopen in a loop without fclose.
#include <stdio.h>

int main(void) {
  char line[64];
  int lines = 0;
  for (int i = 0; i < 10; i++) {
    FILE *file = fopen("/proc/self/status", "r");  // EXPECT: fd-leak
    if (file == NULL) return 1;
    while (fgets(line, sizeof(line), file) != NULL) lines++;
  }
  return lines > 0 ? 0 : 1;
}

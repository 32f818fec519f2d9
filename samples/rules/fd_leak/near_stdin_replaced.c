// Whatever stands at 0, 1 and 2 is left open by every program.
// EXPECT: clean
// STRICT
#include <stdio.h>

int main(void) {
  int lines = 0;
  if (freopen("/proc/self/status", "r", stdin) == NULL) return 1;
  for (int c = getchar(); c != EOF; c = getchar()) lines += c == '\n';
  return lines > 0 ? 0 : 1;
}

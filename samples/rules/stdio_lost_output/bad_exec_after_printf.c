// A launcher says what it starts and becomes it: the line is in a buffer that exec throws away.
#include <stdio.h>
#include <unistd.h>

int main(void) {
  printf("starting true ...\n");
  execlp("true", "true", (char *)NULL);  // EXPECT: stdio-lost-output
  perror("execlp");
  return 127;
}

// The trail that should explain the crash is lost in it: abort does not flush.
// EXIT: SIGABRT
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  FILE *trail = fopen("trail.txt", "w");
  if (trail == NULL) return 1;
  fprintf(trail, "step 1\nstep 2\nabout to divide by %d\n", 0);
  abort();  // EXPECT: stdio-lost-output
}

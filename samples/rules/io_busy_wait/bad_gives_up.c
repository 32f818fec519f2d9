// A bounded number of tries is spinning all the same, and told as often as it was.
// SAYS: called read on fd 3 20000 times in a row
#include <fcntl.h>
#include <unistd.h>

int main(void) {
  int ends[2];
  char byte;
  pipe(ends);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  for (int tries = 0; tries < 20000; tries++) {
    if (read(ends[0], &byte, 1) >= 0) break;  // EXPECT: io-busy-wait
  }
  close(ends[0]);
  close(ends[1]);
  return 0;
}

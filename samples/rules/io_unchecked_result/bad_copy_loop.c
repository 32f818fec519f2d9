// The copy loop ends at 0 and takes the -1 of a failed read for a number of bytes.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  char buffer[256];
  ssize_t got;
  int rounds = 0;
  int in = open(".", O_RDONLY);  // a directory cannot be read
  int out = open("/dev/null", O_WRONLY);
  while ((got = read(in, buffer, sizeof(buffer))) != 0 && rounds++ < 3)
    write(out, buffer, (size_t)got);  // EXPECT: io-unchecked-result
  close(out);
  close(in);
  return 0;
}

// The same number is closed three times, each time for another file.
// EXPECT: clean
#include <fcntl.h>
#include <unistd.h>

int main(void) {
  int first = -1;
  for (int i = 0; i < 3; i++) {
    int fd = open("/dev/null", O_WRONLY);
    if (first < 0) first = fd;
    if (fd != first) return 1;
    write(fd, "x", 1);
    close(fd);
  }
  return 0;
}

// A function's last act is to close: an optimiser makes a jump of that call, and the function leaves
// no frame on the stack. The line that closes is still the one to look at.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

__attribute__((noinline)) static int Finish(int fd, const char* what) {
  fprintf(stderr, "%s\n", what);
  return close(fd);  // EXPECT: fd-double-close
}

int main(void) {
  const int fd = open("/dev/null", O_RDONLY);
  if (close(fd) != 0) return 1;
  return Finish(fd, "done") != -1;
}

// A daemon's beginning: every number there may be is closed and asked about, open or not.
// EXPECT: clean
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
  struct stat status;
  int open_ones = 0;
  for (int fd = 3; fd < 64; fd++) {
    if (fstat(fd, &status) == 0) open_ones++;
    if (fcntl(fd, F_GETFD) != -1) fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  for (int fd = 3; fd < 64; fd++) close(fd);
  return open_ones;
}

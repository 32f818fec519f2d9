// Asking whether a descriptor is open is no use of it.
// EXPECT: clean
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
  struct stat status;
  int fd = open("/dev/null", O_WRONLY);
  close(fd);
  if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) return 1;
  if (fstat(fd, &status) != -1 || errno != EBADF) return 1;
  return 0;
}

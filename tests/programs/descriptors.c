// Prints which descriptors it has, by number, without opening one to look.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int main(void) {
  struct stat status;
  for (int fd = 0; fd < 1024; fd++)
    if (fstat(fd, &status) == 0)
      printf("%d mode %o access %d close-on-exec %d\n", fd, status.st_mode & S_IFMT,
             fcntl(fd, F_GETFL) & O_ACCMODE, fcntl(fd, F_GETFD));
  return 0;
}

// Sixteen descriptors are all that this process may have, and it wants more at once.
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FILES = 20 };

int main(void) {
  struct rlimit limit = {16, 16};
  int fds[FILES], opened = 0;
  char byte;
  setrlimit(RLIMIT_NOFILE, &limit);
  for (int i = 0; i < FILES; i++) {
    fds[i] = open("/dev/zero", O_RDONLY);  // EXPECT: fd-exhausted
    if (fds[i] < 0) {
      perror("open");
      break;
    }
    opened++;
  }
  for (int i = 0; i < opened; i++) read(fds[i], &byte, 1);
  for (int i = 0; i < opened; i++) close(fds[i]);
  return 0;
}

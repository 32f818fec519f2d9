// As many as the process may have, and not one more.
// EXPECT: clean
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FILES = 12 };

int main(void) {
  struct rlimit limit = {32, 32};
  int fds[FILES];
  char byte;
  setrlimit(RLIMIT_NOFILE, &limit);
  for (int i = 0; i < FILES; i++) fds[i] = open("/dev/zero", O_RDONLY);
  for (int i = 0; i < FILES; i++) read(fds[i], &byte, 1);
  for (int i = 0; i < FILES; i++) close(fds[i]);
  return 0;
}

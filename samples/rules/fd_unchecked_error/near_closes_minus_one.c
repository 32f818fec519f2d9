// The result is looked at; closing and polling -1 does no harm.
// EXPECT: clean
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

int main(void) {
  char byte;
  int fds[2] = {open("no-such-file", O_RDONLY), open("/dev/zero", O_RDONLY)};
  struct pollfd set[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLIN}};
  poll(set, 2, 0);
  for (int i = 0; i < 2; i++)
    if (fds[i] >= 0) read(fds[i], &byte, 1);
  for (int i = 0; i < 2; i++) close(fds[i]);
  return 0;
}

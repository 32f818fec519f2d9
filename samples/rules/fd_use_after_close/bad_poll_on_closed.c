// The table of a poll loop keeps the number of a connection that was closed. poll does not fail: it
// says so in the entry.
// SAYS: watched fd 4 with poll after fd 4 was closed (close): POLLNVAL
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
  int ends[2];
  char byte;
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  struct pollfd table[2] = {{.fd = ends[0], .events = POLLIN}, {.fd = ends[1], .events = POLLIN}};
  write(ends[1], "x", 1);
  poll(table, 2, 1000);
  read(ends[0], &byte, 1);
  close(ends[1]);
  poll(table, 2, 1000);  // EXPECT: fd-use-after-close
  close(ends[0]);
  return 0;
}

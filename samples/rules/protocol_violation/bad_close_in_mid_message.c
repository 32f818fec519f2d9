// The client closes when it has sent a half of its second message.
// OPTIONS: --protocol=echo
#include "../peers.h"

static void client(int fd) {
  char reply[64];
  write(fd, "hello", 6);
  take_text(fd, reply);
  write(fd, "is any", 6);
  shutdown(fd, SHUT_WR);  // EXPECT: protocol-violation
  take_text(fd, reply);
}

static void server(int fd) {
  char request[64];
  while (take_text(fd, request)) write(fd, request, strlen(request) + 1);
}

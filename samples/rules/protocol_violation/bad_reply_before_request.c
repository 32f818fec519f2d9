// The server says something before it was asked.
// OPTIONS: --protocol=echo
#include "../peers.h"

static void client(int fd) {
  char reply[64];
  take_text(fd, reply);
  write(fd, "hello", 6);
  take_text(fd, reply);
}

static void server(int fd) {
  char request[64];
  write(fd, "welcome", 8);  // EXPECT: protocol-violation
  take_text(fd, request);
  write(fd, request, strlen(request) + 1);
}

// The server answers one request twice.
// OPTIONS: --protocol=echo
#include "../peers.h"

static void client(int fd) {
  char reply[64];
  write(fd, "hello", 6);
  take_text(fd, reply);
  take_text(fd, reply);
}

static void server(int fd) {
  char request[64];
  take_text(fd, request);
  write(fd, request, strlen(request) + 1);
  write(fd, request, strlen(request) + 1);  // EXPECT: protocol-violation
}

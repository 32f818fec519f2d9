// The server takes the request and goes.
// OPTIONS: --protocol=echo
#include "../peers.h"

static void client(int fd) {
  char reply[64];
  write(fd, "hello", 6);
  take_text(fd, reply);
}

static void server(int fd) {
  char request[64];
  read(fd, request, sizeof(request));  // EXPECT: protocol-incomplete
}

// The client's request comes in two segments; the server takes the first for all of it.
// OPTIONS: --protocol=echo
#include "../peers.h"

static void client(int fd) {
  char reply[64];
  write(fd, "hello, ", 7);
  usleep(200000);
  write(fd, "server", 7);
  take_text(fd, reply);
}

static void server(int fd) {
  char request[64] = "";
  read(fd, request, sizeof(request) - 1);  // EXPECT: protocol-violation
  write(fd, request, strlen(request) + 1);
  while (read(fd, request, sizeof(request)) > 0) {
  }
}

// The client sends a string without the NUL that ends it; the server takes what one read gives.
// OPTIONS: --protocol=echo
#include "../peers.h"

static void client(int fd) {
  char reply[64];
  const char *text = "hello";
  write(fd, text, strlen(text));  // EXPECT: protocol-violation
  take(fd, reply, 6);
}

static void server(int fd) {
  char request[64] = "";
  read(fd, request, sizeof(request) - 1);
  write(fd, request, strlen(request) + 1);
}

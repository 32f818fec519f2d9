// The server thinks too long about it.
// OPTIONS: --protocol=patient.protocol
#include "../peers.h"

static void client(int fd) {
  char reply[64];
  write(fd, "hello", 6);
  take_text(fd, reply);
}

static void server(int fd) {
  char request[64];
  take_text(fd, request);
  usleep(400000);
  write(fd, request, strlen(request) + 1);  // EXPECT: protocol-violation
}

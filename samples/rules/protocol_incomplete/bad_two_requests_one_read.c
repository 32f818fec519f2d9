// Two requests come in one segment; the server takes them for one and answers the first.
// OPTIONS: --protocol=echo-lines
#include "../peers.h"

static void client(int fd) {
  char reply[64];
  write(fd, "hello\nbye\n", 10);
  take(fd, reply, 6);
}

static void server(int fd) {
  char request[64] = "";
  read(fd, request, sizeof(request) - 1);  // EXPECT: protocol-incomplete
  write(fd, request, strcspn(request, "\n") + 1);
}

// Two hundred requests are answered, but one of the answers is to another one.
// OPTIONS: --protocol=echo
#include "../peers.h"

static void client(int fd) {
  for (int i = 0; i < 200; ++i) {
    char text[64], reply[64];
    snprintf(text, sizeof(text), "request %d", i);
    write(fd, text, strlen(text) + 1);
    take_text(fd, reply);
  }
}

static void server(int fd) {
  char request[64];
  for (int i = 0; take_text(fd, request); ++i) {
    if (i == 150) {
      strcpy(request, "request 149");
      write(fd, request, strlen(request) + 1);  // EXPECT: protocol-violation
    } else {
      write(fd, request, strlen(request) + 1);
    }
  }
}

// An echo that is not what was said.
// OPTIONS: --protocol=echo
#include "../peers.h"

static void client(int fd) {
  char reply[64];
  const char *words[] = {"hello", "is anybody there?"};
  for (int i = 0; i < 2; i++) {
    write(fd, words[i], strlen(words[i]) + 1);
    take_text(fd, reply);
  }
}

static void server(int fd) {
  char request[64];
  while (take_text(fd, request)) {
    if (strlen(request) > 10) request[10] = 0;
    write(fd, request, strlen(request) + 1);  // EXPECT: protocol-violation
  }
}

// The client sends its length as the machine has it, without htonl.
// OPTIONS: --protocol=rpc
#include "../peers.h"

static void client(int fd) {
  struct {
    uint32_t length, id;
    char body[8];
  } message = {12, htonl(1), "what is"};
  write(fd, &message, sizeof(message));  // EXPECT: protocol-violation
}

static void server(int fd) {
  char request[16];
  take(fd, request, sizeof(request));
}

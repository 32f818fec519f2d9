// The client counts one byte more than it sends; the server looks at what it got instead.
// OPTIONS: --protocol=rpc
#include "../peers.h"

static void client(int fd) {
  char message[] = "\0\0\0\x0a" "\0\0\0\1" "hello";  // 4 + 5 bytes follow, not 10
  char reply[64];
  write(fd, message, sizeof(message) - 1);  // EXPECT: protocol-violation
  take(fd, reply, 13);
}

static void server(int fd) {
  char reply[] = "\0\0\0\x09" "\0\0\0\1" "world";
  char request[64];
  take(fd, request, 13);
  write(fd, reply, sizeof(reply) - 1);
}

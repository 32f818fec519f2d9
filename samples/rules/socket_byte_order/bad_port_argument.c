// The port comes from the command line, and goes into the address as it is.
// ARGS: 45057
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET};
  const int on = 1;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = (unsigned short)atoi(argv[1]);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0)  // EXPECT: socket-byte-order
    return 0;  // somebody has it: it is no less wrong
  listen(listener, 4);
  close(listener);
  return 0;
}

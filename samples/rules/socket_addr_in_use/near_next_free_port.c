// A taken port is no accident here: the program looks for the next one that is free.
// EXPECT: clean
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  int first = socket(AF_INET, SOCK_STREAM, 0);
  bind(first, (struct sockaddr *)&address, length);
  listen(first, 4);
  getsockname(first, (struct sockaddr *)&address, &length);

  int second = socket(AF_INET, SOCK_STREAM, 0);
  int port = ntohs(address.sin_port);
  while (bind(second, (struct sockaddr *)&address, sizeof(address)) != 0 && errno == EADDRINUSE) {
    port = port < 60000 ? port + 1 : 20000;
    address.sin_port = htons((unsigned short)port);
  }
  listen(second, 4);
  close(second);
  close(first);
  return 0;
}

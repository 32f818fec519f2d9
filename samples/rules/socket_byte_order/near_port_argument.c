// The user chose a port that is a well-known one's mirror image, and htons was used.
// EXPECT: clean
// ARGS: 36895
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET};
  const int on = 1;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons((unsigned short)atoi(argv[1]));
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0) return 1;
  listen(listener, 4);
  printf("listening on port %s\n", argv[1]);
  close(listener);
  return 0;
}

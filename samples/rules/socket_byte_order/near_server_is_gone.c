// The connect is refused, but because the server has gone: its port was right.
// EXPECT: clean
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  int other = socket(AF_INET, SOCK_STREAM, 0);
  bind(other, (struct sockaddr *)&address, length);
  listen(other, 4);
  getsockname(other, (struct sockaddr *)&address, &length);
  close(other);

  int fd = socket(AF_INET, SOCK_STREAM, 0);
  int refused = connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0;
  close(fd);
  return refused ? 0 : 1;
}

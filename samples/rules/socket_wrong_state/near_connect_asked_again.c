// A non-blocking connect is under way; connecting again is how the program learns that it is done.
// A UDP socket may change its peer as often as it likes.
// EXPECT: clean
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 4);
  getsockname(listener, (struct sockaddr *)&address, &length);

  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  while (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 && errno != EISCONN) {
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    if (errno != EINPROGRESS && errno != EALREADY) return 1;
    poll(&ready, 1, 1000);
  }
  int connection = accept(listener, NULL, NULL);
  close(connection);
  close(fd);
  close(listener);

  int udp = socket(AF_INET, SOCK_DGRAM, 0);
  connect(udp, (struct sockaddr *)&address, sizeof(address));
  address.sin_port = htons(9);
  connect(udp, (struct sockaddr *)&address, sizeof(address));
  close(udp);
  return 0;
}

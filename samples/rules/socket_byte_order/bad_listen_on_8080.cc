// The server means 8080 and listens on 36895. (On a machine where that port is taken nothing
// changes: bind has been asked for it.)
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>

struct Endpoint {
  explicit Endpoint(uint16_t port) {
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = port;
  }
  sockaddr_in address{};
};

int main() {
  Endpoint endpoint(8080);
  int on = 1;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  bind(fd, reinterpret_cast<sockaddr*>(&endpoint.address), sizeof(endpoint.address));  // EXPECT: socket-byte-order
  listen(fd, 4);
  close(fd);
}

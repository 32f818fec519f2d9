// A server that reopens its port on reload while its old listening socket is still open.
// EXIT: 1
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in address = {.sin_family = AF_INET};

static int open_listener(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {  // EXPECT: socket-addr-in-use
    perror("bind");
    close(fd);
    return -1;
  }
  listen(fd, 4);
  return fd;
}

int main(void) {
  socklen_t length = sizeof(address);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int old = open_listener();
  getsockname(old, (struct sockaddr *)&address, &length);
  int new = open_listener();  // the reload
  close(old);
  return new < 0 ? 1 : 0;
}

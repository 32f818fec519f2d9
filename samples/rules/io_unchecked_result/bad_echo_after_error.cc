// The echo server sends back what recv returned, also where that was -1.
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>

static ssize_t Echo(int fd) {
  char buffer[128];
  ssize_t got = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
  return send(fd, buffer, got, MSG_NOSIGNAL);  // EXPECT: io-unchecked-result
}

int main() {
  int ends[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  Echo(ends[0]);  // nothing has come yet: recv fails with EAGAIN
  close(ends[0]);
  close(ends[1]);
}

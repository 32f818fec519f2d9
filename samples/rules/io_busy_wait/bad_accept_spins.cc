// A thread polls its listening socket by calling accept, without poll.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

int main() {
  sockaddr_in address{};
  socklen_t length = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  bind(listener, reinterpret_cast<sockaddr*>(&address), length);
  listen(listener, 4);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  std::thread server([listener] {
    int connection;
    do {
      connection = accept(listener, nullptr, nullptr);  // EXPECT: io-busy-wait
    } while (connection < 0 && errno == EAGAIN);
    close(connection);
  });
  usleep(300000);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  server.join();
  close(fd);
  close(listener);
}

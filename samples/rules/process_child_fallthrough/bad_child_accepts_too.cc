// The child serves its connection, and then falls out of its branch into its parent's accept loop.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

constexpr int kClients = 4;
static sockaddr_in address{};

static void Client() {
  char answer[8];
  for (int i = 0; i < kClients; ++i) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    write(fd, "hello", 5);
    read(fd, answer, sizeof(answer));
    close(fd);
    usleep(20000);
  }
  exit(0);
}

int main() {
  socklen_t length = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  timeval patience = {1, 0};
  setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  bind(listener, reinterpret_cast<sockaddr*>(&address), length);
  listen(listener, 8);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  if (fork() == 0) {
    close(listener);
    Client();
  }
  for (;;) {
    int connection = accept(listener, nullptr, nullptr);  // EXPECT: process-child-fallthrough
    if (connection < 0) break;
    if (fork() == 0) {
      char request[8];
      ssize_t got = read(connection, request, sizeof(request));
      write(connection, request, static_cast<size_t>(got));
    }
    close(connection);
  }
  close(listener);
  while (wait(nullptr) > 0) {
  }
}

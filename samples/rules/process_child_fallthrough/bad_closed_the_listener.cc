// The child has closed the listener, as it should, serves its client, and falls out of its branch: its
// accept fails. That it came to accept is the mistake.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

constexpr int kClients = 3;
static sockaddr_in address{};

static void Client() {
  char answer[8];
  for (int i = 0; i < kClients; ++i) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    write(fd, "hello", 5);
    while (read(fd, answer, sizeof(answer)) > 0) {
    }
    close(fd);
  }
  exit(0);
}

int main() {
  socklen_t length = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, reinterpret_cast<sockaddr*>(&address), length);
  listen(listener, 8);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  if (fork() == 0) {
    close(listener);
    Client();
  }
  for (int served = 0; served < kClients; ++served) {
    int connection = accept(listener, nullptr, nullptr);  // EXPECT: process-child-fallthrough
    if (connection < 0) break;
    if (fork() != 0) {
      close(connection);
      continue;
    }
    char request[8];
    close(listener);
    ssize_t got = read(connection, request, sizeof(request));
    write(connection, request, static_cast<size_t>(got));
    close(connection);
  }
  while (wait(nullptr) > 0) {
  }
}

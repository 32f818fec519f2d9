// Workers that never close a connection go back to accept, and their client waits for end-of-file.
// HANGS
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main() {
  sockaddr_in address{};
  socklen_t length = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, reinterpret_cast<sockaddr*>(&address), length);
  listen(listener, 8);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  for (int i = 0; i < 3; ++i) {
    if (fork() != 0) continue;
    for (;;) {
      int connection = accept(listener, nullptr, nullptr);
      write(connection, "hello", 5);
    }
  }
  close(listener);
  for (int i = 0; i < 6; ++i) {
    char greeting[8];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    while (read(fd, greeting, sizeof(greeting)) > 0) {  // EXPECT: ipc-deadlock
    }
    close(fd);
  }
  while (wait(nullptr) > 0) {
  }
}

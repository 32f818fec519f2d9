// A local server with a child per connection, reaped by a handler. The parent never closes its
// copies.
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

namespace {

sockaddr_un Address() {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, "service.sock");
  return address;
}

void Client() {
  const sockaddr_un address = Address();
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  char answer[16];
  write(fd, "hi", 2);
  read(fd, answer, sizeof(answer));
  close(fd);
}

void Serve(int connection) {
  char request[16];
  const ssize_t got = read(connection, request, sizeof(request));
  if (got > 0) write(connection, request, static_cast<size_t>(got));
  close(connection);
}

}  // namespace

int main() {
  const sockaddr_un address = Address();
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return 1;
  listen(listener, 8);
  const pid_t clients = fork();
  if (clients == 0) {
    close(listener);
    for (int i = 0; i < 4; ++i) Client();
    _exit(0);
  }
  for (int i = 0; i < 4; ++i) {
    const int connection = accept(listener, nullptr, nullptr);  // EXPECT: socket-conn-leak
    const pid_t child = fork();
    if (child == 0) {
      close(listener);
      Serve(connection);
      _exit(0);
    }
    waitpid(child, nullptr, 0);
  }
  waitpid(clients, nullptr, 0);
  close(listener);
  unlink(address.sun_path);
}

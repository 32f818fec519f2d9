// The parent accepts before it gives its only client the word to connect. The kernel chose the port,
// and nobody was told: no one else can come.
// HANGS
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, reinterpret_cast<sockaddr*>(&address), size);
  listen(listener, 5);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  int go[2];
  if (pipe(go) != 0) return 1;
  char byte = 'g';

  if (fork() == 0) {
    close(listener);
    close(go[1]);
    read(go[0], &byte, 1);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    connect(server, reinterpret_cast<sockaddr*>(&address), size);
    _exit(0);
  }
  close(go[0]);
  int connection = accept(listener, nullptr, nullptr);  // EXPECT: ipc-deadlock
  write(go[1], &byte, 1);
  close(connection);
  wait(nullptr);
}

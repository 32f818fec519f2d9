// A server runs a program for each request: the program has the listening socket, too.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

static int Listen(sockaddr_in* address) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  memset(address, 0, sizeof(*address));
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(listener, reinterpret_cast<sockaddr*>(address), sizeof(*address));
  listen(listener, 5);
  socklen_t size = sizeof(*address);
  getsockname(listener, reinterpret_cast<sockaddr*>(address), &size);
  return listener;
}

static void RunProgram(int connection) {
  dup2(connection, STDOUT_FILENO);
  close(connection);
  execlp("echo", "echo", "hello", nullptr);
  _exit(127);
}

int main() {
  sockaddr_in address;
  const int listener = Listen(&address);
  const pid_t client = fork();
  if (client == 0) {
    close(listener);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    char text[16];
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) _exit(1);
    while (read(fd, text, sizeof(text)) > 0) {
    }
    close(fd);
    _exit(0);
  }
  const int connection = accept(listener, nullptr, nullptr);
  const pid_t program = fork();  // EXPECT: fd-exec-leak
  if (program == 0) {
    RunProgram(connection);
  }
  close(connection);
  waitpid(program, nullptr, 0);
  waitpid(client, nullptr, 0);
  close(listener);
}

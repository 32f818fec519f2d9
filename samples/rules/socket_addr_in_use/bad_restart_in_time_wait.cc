// A server is restarted right after it has closed a connection: without SO_REUSEADDR the port is
// taken by that connection's TIME_WAIT.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

static sockaddr_in address{};

static int Start() {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {  // EXPECT: socket-addr-in-use
    perror("bind");
    close(fd);
    return -1;
  }
  listen(fd, 4);
  return fd;
}

static void ServeOne(int listener) {
  int connection = accept(listener, nullptr, nullptr);
  write(connection, "bye\n", 4);
  close(connection);  // closes first, and so gets the TIME_WAIT
  close(listener);
}

int main() {
  socklen_t length = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = Start();
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  pid_t client = fork();
  if (client == 0) {
    close(listener);
    char answer[8];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    while (read(fd, answer, sizeof(answer)) > 0) {
    }
    close(fd);
    _exit(0);
  }
  ServeOne(listener);
  waitpid(client, nullptr, 0);
  listener = Start();  // the restart
  if (listener >= 0) close(listener);
}

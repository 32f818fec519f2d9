// A thread for each connection, and it is joined before the next accept: no better than none.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

static void serve(int connection) {
  char request[8];
  ssize_t got = read(connection, request, sizeof(request));
  if (got > 0) write(connection, request, got);
  close(connection);
}

int main() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, reinterpret_cast<sockaddr *>(&address), length);
  listen(listener, 8);
  getsockname(listener, reinterpret_cast<sockaddr *>(&address), &length);
  pid_t clients = fork();
  if (clients == 0) {
    close(listener);
    int both[2];
    char answer[8];
    for (int &fd : both) {
      fd = socket(AF_INET, SOCK_STREAM, 0);
      connect(fd, reinterpret_cast<sockaddr *>(&address), length);
    }
    for (int fd : both) {
      write(fd, "request", 7);
      read(fd, answer, sizeof(answer));
      close(fd);
    }
    _exit(0);
  }
  for (int i = 0; i < 2; ++i) {
    int connection = accept(listener, nullptr, nullptr);  // EXPECT-NOTE: socket-serial-server
    std::thread(serve, connection).join();
  }
  close(listener);
  waitpid(clients, nullptr, 0);
}

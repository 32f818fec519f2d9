// The server talks to one client until that one has had enough; meanwhile the others queue.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

static sockaddr_in address{};

static void Clients() {
  std::vector<int> connections;
  for (int i = 0; i < 3; ++i) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    connections.push_back(fd);
  }
  for (int fd : connections) {
    char answer[8];
    usleep(50000);
    write(fd, "hello", 5);
    read(fd, answer, sizeof(answer));
    close(fd);
  }
  _exit(0);
}

int main() {
  socklen_t length = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, reinterpret_cast<sockaddr*>(&address), length);
  listen(listener, 8);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  pid_t clients = fork();
  if (clients == 0) {
    close(listener);
    Clients();
  }
  for (int i = 0; i < 3; ++i) {
    int connection = accept(listener, nullptr, nullptr);  // EXPECT-NOTE: socket-serial-server
    char request[8];
    ssize_t got;
    while ((got = read(connection, request, sizeof(request))) > 0) write(connection, request, got);
    close(connection);
  }
  close(listener);
  waitpid(clients, nullptr, 0);
}

// A thread for each client, however many come: here nine.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

constexpr int kClients = 9;
static sockaddr_in address{};

static void Clients() {
  std::vector<int> connections;
  char answer[8];
  for (int i = 0; i < kClients; ++i) {
    connections.push_back(socket(AF_INET, SOCK_STREAM, 0));
    connect(connections.back(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
  }
  // The last one speaks first, so that all are served at once.
  for (int i = kClients - 1; i >= 0; --i) {
    write(connections[i], "hello", 5);
    read(connections[i], answer, sizeof(answer));
  }
  for (int fd : connections) close(fd);
  _exit(0);
}

int main() {
  socklen_t length = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, reinterpret_cast<sockaddr*>(&address), length);
  listen(listener, 16);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  pid_t clients = fork();
  if (clients == 0) {
    close(listener);
    Clients();
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < kClients; ++i) {
    int connection = accept(listener, nullptr, nullptr);
    threads.emplace_back([connection] {  // EXPECT-NOTE: socket-unbounded-threads
      char request[8];
      ssize_t got;
      while ((got = read(connection, request, sizeof(request))) > 0) write(connection, request, got);
      close(connection);
    });
  }
  for (std::thread& thread : threads) thread.join();
  close(listener);
  waitpid(clients, nullptr, 0);
}

// A local server in classes; its children keep the listener they never accept on.
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <vector>

class Server {
 public:
  explicit Server(const char* path) : fd_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    address_.sun_family = AF_UNIX;
    strcpy(address_.sun_path, path);
    if (bind(fd_, reinterpret_cast<sockaddr*>(&address_), sizeof(address_)) != 0) _exit(1);
    listen(fd_, 8);
  }
  ~Server() {
    close(fd_);
    unlink(address_.sun_path);
  }

  int Connect() const {
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    connect(fd, reinterpret_cast<const sockaddr*>(&address_), sizeof(address_));
    return fd;
  }

  template <typename Service>
  pid_t ServeOne(Service service) {
    const int connection = accept(fd_, nullptr, nullptr);
    const pid_t pid = fork();  // EXPECT: socket-listener-in-child
    if (pid == 0) {
      service(connection);
      _exit(0);
    }
    close(connection);
    return pid;
  }

 private:
  int fd_;
  sockaddr_un address_ = {};
};

int main() {
  Server server("local.sock");
  std::vector<int> clients;
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(server.Connect());
    children.push_back(server.ServeOne([&](int connection) {
      for (int client : clients) close(client);
      char c;
      while (read(connection, &c, 1) == 1) {
      }
    }));
  }
  for (int client : clients) {
    write(client, "x", 1);
    close(client);
  }
  for (pid_t child : children) waitpid(child, nullptr, 0);
}

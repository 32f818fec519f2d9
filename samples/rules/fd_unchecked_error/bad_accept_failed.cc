// accept finds nobody on a non-blocking listener, and its -1 is served all the same.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>

class Server {
 public:
  Server() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
    sockaddr_in any;
    memset(&any, 0, sizeof(any));
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(listener_, reinterpret_cast<sockaddr*>(&any), sizeof(any));
    listen(listener_, 5);
  }
  ~Server() { close(listener_); }
  void ServeOne() {
    const int connection = accept(listener_, nullptr, nullptr);
    const std::string greeting = "hello\n";
    send(connection, greeting.data(), greeting.size(), 0);  // EXPECT: fd-unchecked-error
    close(connection);
  }

 private:
  int listener_;
};

int main() {
  Server server;
  server.ServeOne();
}

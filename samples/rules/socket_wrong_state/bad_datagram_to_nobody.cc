// UDP: send without an address on a socket that was never connected.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <string>

class Reporter {
 public:
  Reporter() : fd_(socket(AF_INET, SOCK_DGRAM, 0)) {}
  ~Reporter() { close(fd_); }
  bool say(const std::string &line) const {
    return send(fd_, line.data(), line.size(), 0) >= 0;  // EXPECT: socket-wrong-state
  }

 private:
  int fd_;
};

int main() {
  if (!Reporter().say("started")) std::puts("not reported");
}

// The handler of SIGCHLD closes the connection of the child that has ended: that may be after the
// next accept has begun.
// EXPECT: clean
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr int kClients = 4;
struct {
  pid_t child;
  int connection;
} served[kClients];

void reap(int) {
  int before = errno;
  for (pid_t child; (child = waitpid(-1, nullptr, WNOHANG)) > 0;) {
    for (auto &each : served) {
      if (each.child == child) close(each.connection);
    }
  }
  errno = before;
}

}  // namespace

int main() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, reinterpret_cast<sockaddr *>(&address), length);
  listen(listener, 8);
  getsockname(listener, reinterpret_cast<sockaddr *>(&address), &length);
  pid_t server = fork();
  if (server == 0) {
    struct sigaction action{};
    action.sa_handler = reap;
    action.sa_flags = SA_RESTART;
    sigaction(SIGCHLD, &action, nullptr);
    sigset_t ends, before;
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    for (int i = 0;; ++i) {
      int connection = accept(listener, nullptr, nullptr);
      sigprocmask(SIG_BLOCK, &ends, &before);
      pid_t child = fork();
      if (child == 0) {
        close(listener);
        write(connection, "done", 4);
        _exit(0);
      }
      served[i] = {child, connection};
      sigprocmask(SIG_SETMASK, &before, nullptr);
    }
  }
  close(listener);
  for (int i = 0; i < kClients; ++i) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof(address));
    char answer[8];
    while (read(fd, answer, sizeof(answer)) > 0) {
    }
    close(fd);
  }
  kill(server, SIGTERM);
  waitpid(server, nullptr, 0);
}

// The rest could not be written: the reader had gone, and the writer noticed.
// EXPECT: clean
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

int main() {
  int ends[2];
  signal(SIGPIPE, SIG_IGN);
  pipe(ends);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[1]);
    char buffer[100];
    read(ends[0], buffer, sizeof(buffer));
    // It drinks the pipe dry, so that nothing is lost in it, and has then had enough.
    pollfd more = {ends[0], POLLIN, 0};
    while (poll(&more, 1, 100) > 0 && read(ends[0], buffer, sizeof(buffer)) > 0) {
    }
    close(ends[0]);
    _exit(0);
  }
  close(ends[0]);
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  std::vector<char> data(100000, 'd');
  ssize_t took = write(ends[1], data.data(), data.size());
  waitpid(pid, nullptr, 0);
  pollfd writable = {ends[1], POLLOUT, 0};
  poll(&writable, 1, 0);
  bool gone = (writable.revents & POLLERR) != 0;
  close(ends[1]);
  return gone && took < 100000 ? 0 : 1;
}

// A non-blocking socket takes what fits into its buffer, and the sender takes no notice.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

int main() {
  int ends[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    char buffer[4096];
    usleep(200000);
    while (read(ends[1], buffer, sizeof(buffer)) > 0) {
    }
    close(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  std::vector<char> image(4 << 20, 'i');
  if (send(ends[0], image.data(), image.size(), 0) < 0) perror("send");  // EXPECT: io-short-count
  close(ends[0]);
  waitpid(pid, nullptr, 0);
}

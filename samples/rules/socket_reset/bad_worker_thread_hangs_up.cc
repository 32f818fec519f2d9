// A worker thread reads the first line of what came over a socket pair and closes its end.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

int main() {
  int ends[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  write(ends[0], "first\nsecond\n", 13);
  std::thread worker([fd = ends[1]] {
    char line[6];
    if (read(fd, line, sizeof(line)) > 0) write(fd, "ok\n", 3);
    close(fd);  // EXPECT: socket-reset
  });
  worker.join();
  char answer[16];
  while (read(ends[0], answer, sizeof(answer)) > 0) {
  }
  close(ends[0]);
}

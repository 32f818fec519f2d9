// Short counts on both sides, and both sides go on where the last call stopped. Lines of any
// length, read with a buffer of one size, are no records.
// EXPECT: clean
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char blob[300000];

static void write_all(int fd, const char *data, size_t size) {
  while (size > 0) {
    ssize_t took = write(fd, data, size);
    if (took >= 0) {
      data += took;
      size -= (size_t)took;
    } else if (errno == EAGAIN) {
      struct pollfd room = {.fd = fd, .events = POLLOUT};
      poll(&room, 1, -1);
    } else {
      _exit(1);
    }
  }
}

int main(void) {
  int ends[2];
  char buffer[100];
  pipe(ends);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[1]);
    usleep(100000);
    while (read(ends[0], buffer, sizeof(buffer)) > 0) {
    }
    close(ends[0]);
    _exit(0);
  }
  close(ends[0]);
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  write_all(ends[1], "a line\n", 7);
  write_all(ends[1], "another line\n", 13);
  write_all(ends[1], blob, sizeof(blob));
  close(ends[1]);
  waitpid(pid, NULL, 0);
  return 0;
}

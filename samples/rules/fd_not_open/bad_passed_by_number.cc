// The child is told a number, but the descriptor was opened in the parent after the fork.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

static int ReadByte(int fd) {
  char c = 0;
  if (read(fd, &c, 1) != 1) {  // EXPECT: fd-not-open
    perror("read");
    return -1;
  }
  return c;
}

int main() {
  int number[2];
  if (pipe(number) != 0) return 1;
  const pid_t child = fork();
  if (child == 0) {
    int fd;
    close(number[1]);
    read(number[0], &fd, sizeof(fd));
    _exit(ReadByte(fd) < 0 ? 0 : 1);
  }
  close(number[0]);
  const int fd = open("/dev/zero", O_RDONLY);
  const int moved = fcntl(fd, F_DUPFD, 20);
  write(number[1], &moved, sizeof(moved));
  close(number[1]);
  waitpid(child, nullptr, 0);
  close(moved);
  close(fd);
}

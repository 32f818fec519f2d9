// The reader keeps its own write end to the last, but it knows how much will come and never waits
// for end-of-file.
// EXPECT: clean
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int read_all(int fd, void *data, size_t size) {
  for (size_t have = 0; have < size;) {
    ssize_t got = read(fd, (char *)data + have, size - have);
    if (got <= 0) return -1;
    have += (size_t)got;
  }
  return 0;
}

int main(void) {
  int fd[2];
  uint32_t length;
  char text[64];
  pipe(fd);
  if (fork() == 0) {
    const char answer[] = "forty-two";
    length = sizeof(answer);
    close(fd[0]);
    write(fd[1], &length, sizeof(length));
    write(fd[1], answer, sizeof(answer));
    close(fd[1]);
    exit(0);
  }
  if (read_all(fd[0], &length, sizeof(length)) != 0 || length > sizeof(text)) return 1;
  if (read_all(fd[0], text, length) != 0) return 1;
  wait(NULL);
  close(fd[0]);
  close(fd[1]);
  return 0;
}

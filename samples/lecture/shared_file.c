// Two processes that communicate through a file: the child shares the parent's description, and
// with it the offset. Wasteful, but right.
// EXPECT: clean
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  char buf[32];
  int fd = open("notes.txt", O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) return 1;

  if (fork() == 0) {
    ssize_t written = write(fd, "left by the child", 17);
    return written == 17 ? 0 : 1;
  }
  wait(NULL);
  lseek(fd, 0, SEEK_SET);  // the child's write moved the offset that both share
  ssize_t got = read(fd, buf, sizeof(buf));
  printf("%.*s [%zd]\n", (int)got, buf, got);
  close(fd);
  unlink("notes.txt");
  return 0;
}

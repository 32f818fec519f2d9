// The first child lacks its exit. What it and its own child then close and use in its parent's place
// is no mistake of its own.
#include <sys/wait.h>
#include <unistd.h>

static void writer(int fd) {
  write(fd, "data", 4);
  close(fd);
}

static void reader(int fd) {
  char text[8];
  while (read(fd, text, sizeof(text)) > 0) {
  }
  close(fd);
}

int main(void) {
  int ends[2];
  pipe(ends);
  if (fork() == 0) {
    close(ends[0]);
    writer(ends[1]);
  }
  if (fork() == 0) {  // EXPECT: process-child-fallthrough
    close(ends[1]);
    reader(ends[0]);
    _exit(0);
  }
  close(ends[0]);
  close(ends[1]);
  while (wait(NULL) > 0) {
  }
  return 0;
}

// The reader waits on an empty pipe with a copy of the write end open elsewhere: that writer is
// only slow, and closes in time.
// EXPECT: clean
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  char buf[8];
  pipe(fd);
  if (fork() == 0) {
    close(fd[0]);
    write(fd[1], "first", 5);
    usleep(300000);
    write(fd[1], "last", 4);
    exit(0);  // closes the write end
  }
  close(fd[1]);
  while (read(fd[0], buf, sizeof(buf)) > 0) {
  }
  close(fd[0]);
  wait(NULL);
  return 0;
}

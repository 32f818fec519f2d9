// splice takes everything to a file, and waits for an end that the parent's own copy holds back.
// HANGS
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fds[2];
  pipe(fds);
  if (fork() == 0) {
    close(fds[0]);
    write(fds[1], "spliced\n", 8);
    _exit(0);
  }
  int file = open("/dev/null", O_WRONLY);
  while (splice(fds[0], NULL, file, NULL, 4096, 0) > 0) {  // EXPECT: pipe-no-eof
  }
  close(fds[1]);
  wait(NULL);
  return 0;
}

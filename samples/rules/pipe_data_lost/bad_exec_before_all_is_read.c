// The reader takes one byte of its orders and becomes another program: the rest goes with the
// close-on-exec descriptor.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int orders[2], go[2];
  char byte;
  pipe2(orders, O_CLOEXEC);
  pipe2(go, O_CLOEXEC);
  if (fork() == 0) {
    close(orders[1]);
    close(go[1]);
    read(go[0], &byte, 1);
    read(orders[0], &byte, 1);
    execlp("true", "true", NULL);  // EXPECT: pipe-data-lost
    _exit(1);
  }
  close(orders[0]);
  close(go[0]);
  write(orders[1], "configuration", 13);
  close(orders[1]);
  write(go[1], "g", 1);
  close(go[1]);
  wait(NULL);
  return 0;
}

// Neither speaks first; but one waits in poll with a timeout, and gives up.
// EXPECT: clean
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int there[2], back[2];
  char byte;
  pipe(there);
  pipe(back);
  if (fork() == 0) {
    close(there[1]);
    close(back[0]);
    struct pollfd wish = {.fd = there[0], .events = POLLIN};
    if (poll(&wish, 1, 500) == 0) write(back[1], "?", 1);
    exit(0);
  }
  close(there[0]);
  close(back[1]);
  read(back[0], &byte, 1);
  close(there[1]);
  close(back[0]);
  wait(NULL);
  return 0;
}

// A socketpair has no wrong end: both may be written and read.
// EXPECT: clean
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int end[2];
  char byte = 'q';
  socketpair(AF_UNIX, SOCK_STREAM, 0, end);
  if (fork() == 0) {
    close(end[0]);
    read(end[1], &byte, 1);
    write(end[1], "a", 1);
    close(end[1]);
    exit(0);
  }
  close(end[1]);
  write(end[0], &byte, 1);
  read(end[0], &byte, 1);
  close(end[0]);
  wait(NULL);
  return 0;
}

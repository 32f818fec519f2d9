// Both read first, but one has given its socket a timeout of less than a second.
// EXPECT: clean
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int ends[2];
  char byte = 'x';
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  struct timeval patience = {.tv_sec = 0, .tv_usec = 400 * 1000};
  setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (fork() == 0) {
    close(ends[0]);
    read(ends[1], &byte, 1);
    _exit(0);
  }
  close(ends[1]);
  if (read(ends[0], &byte, 1) < 0) write(ends[0], &byte, 1);
  close(ends[0]);
  wait(NULL);
  return 0;
}

// The header of a message is skipped by reading at an offset, as one would in a file.
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
  int ends[2];
  char body[16];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  write(ends[0], "HEADbody", 8);
  if (pread(ends[1], body, 4, 4) < 0)  // EXPECT: io-seek-on-stream
    perror("pread");
  read(ends[1], body, sizeof(body));
  close(ends[0]);
  close(ends[1]);
  return 0;
}

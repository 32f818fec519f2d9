// Both would read first, but one of them only thinks for a while before it speaks.
// EXPECT: clean
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int ends[2];
  char word[8];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  if (fork() == 0) {
    close(ends[0]);
    read(ends[1], word, sizeof(word));
    write(ends[1], "hi", 2);
    exit(0);
  }
  close(ends[1]);
  usleep(400000);
  write(ends[0], "hello", 5);
  read(ends[0], word, sizeof(word));
  close(ends[0]);
  wait(NULL);
  return 0;
}

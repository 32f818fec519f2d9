// The variables' names are swapped, and so is their use.
// EXPECT: clean
#include <unistd.h>

int main(void) {
  int fd[2];
  char byte;
  pipe(fd);
  int writer = fd[0], reader = fd[1];
  write(reader, "x", 1);
  read(writer, &byte, 1);
  close(writer);
  close(reader);
  return byte == 'x' ? 0 : 1;
}

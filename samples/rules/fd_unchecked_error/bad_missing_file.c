// The file is not there, and nobody looked.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  char text[32] = "";
  int fd = open("no-such-file", O_RDONLY);
  ssize_t got = read(fd, text, sizeof(text) - 1);  // EXPECT: fd-unchecked-error
  printf("%zd bytes: %s\n", got, text);
  close(fd);
  return 0;
}

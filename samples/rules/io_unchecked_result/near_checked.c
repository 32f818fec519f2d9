// The failed read is noticed, and nothing is written.
// EXPECT: clean
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  char buffer[256];
  ssize_t got;
  int in = open(".", O_RDONLY);
  while ((got = read(in, buffer, sizeof(buffer))) > 0) write(STDOUT_FILENO, buffer, (size_t)got);
  if (got < 0) perror("read");
  close(in);
  return 0;
}

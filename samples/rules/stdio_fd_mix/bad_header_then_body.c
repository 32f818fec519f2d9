// The header is read line by line through the stream, the body with read() on its descriptor: the
// beginning of the body lies in the stream's buffer.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  const char *message = "Name: x\nLength: 4\n\nbody and more";
  char line[64], body[64];
  int fd = open("message", O_RDWR | O_CREAT | O_TRUNC, 0600);
  write(fd, message, strlen(message));
  lseek(fd, 0, SEEK_SET);

  FILE *in = fdopen(fd, "r");
  while (fgets(line, sizeof(line), in) != NULL && line[0] != '\n') {
  }
  ssize_t got = read(fd, body, 4);  // EXPECT: stdio-fd-mix
  fprintf(stderr, "body: %zd bytes\n", got);
  fclose(in);
  unlink("message");
  return 0;
}

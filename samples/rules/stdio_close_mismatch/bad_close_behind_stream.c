// The descriptor is closed directly, then its stream: fclose cannot write out its buffer any more.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  int fd = open("out.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  FILE *out = fdopen(fd, "w");
  if (out == NULL) return 1;
  fputs("a result\n", out);
  fflush(out);
  close(fd);
  if (fclose(out) != 0)  // EXPECT: stdio-close-mismatch
    perror("fclose");
  unlink("out.txt");
  return 0;
}

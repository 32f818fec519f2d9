// Which bytes of the file does read() get? None of those that follow: fread took them all into the
// stream's buffer.
#include <stdio.h>
#include <unistd.h>

int main(void) {
  char x[10], y[10];
  FILE *out = fopen("foo.txt", "wb");
  if (out == NULL) return 1;
  fputs("0123456789abcdefghij", out);
  fclose(out);

  FILE *f = fopen("foo.txt", "rb");
  if (f == NULL) return 1;
  int fd = fileno(f);
  fread(x, 10, 1, f);               // read 10 bytes from f
  ssize_t got = read(fd, y, 10);    // EXPECT: stdio-fd-mix
  printf("x is %.10s, y has %zd bytes\n", x, got);
  fclose(f);
  unlink("foo.txt");
  return 0;
}

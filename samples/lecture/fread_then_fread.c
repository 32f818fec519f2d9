// fread_then_read.c mended: the second ten bytes come from the stream too.
// EXPECT: clean
// STRICT
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
  fread(x, 10, 1, f);
  fread(y, 10, 1, f);
  printf("x is %.10s, y is %.10s\n", x, y);
  fclose(f);
  unlink("foo.txt");
  return 0;
}

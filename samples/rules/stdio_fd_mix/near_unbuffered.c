// Without a buffer, stream and descriptor may be mixed.
// EXPECT: clean
#include <stdio.h>
#include <unistd.h>

int main(void) {
  char a[3], b[3];
  FILE *out = fopen("digits", "w");
  setvbuf(out, NULL, _IONBF, 0);
  fputs("012", out);
  write(fileno(out), "345", 3);
  fclose(out);

  FILE *in = fopen("digits", "r");
  setvbuf(in, NULL, _IONBF, 0);
  fread(a, 1, 3, in);
  read(fileno(in), b, 3);
  fclose(in);
  unlink("digits");
  return a[0] == '0' && b[0] == '3' ? 0 : 1;
}

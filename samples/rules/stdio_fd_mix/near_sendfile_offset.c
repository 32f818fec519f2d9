// EXPECT: clean
// The head of a file is read through its stream. The body is sent from the offset that the stream
// gives, and the descriptor's own offset stays where it is.
#include <stdio.h>
#include <sys/sendfile.h>

int main(void) {
  char head[64];
  FILE *in = tmpfile(), *out = tmpfile();
  if (in == NULL || out == NULL) return 1;
  fputs("length 5\nhello\nand more\n", in);
  rewind(in);
  if (fgets(head, sizeof(head), in) == NULL) return 1;
  off_t from = ftell(in);
  if (sendfile(fileno(out), fileno(in), &from, 5) != 5) return 1;
  fgets(head, sizeof(head), in);
  fclose(in);
  fclose(out);
  return 0;
}

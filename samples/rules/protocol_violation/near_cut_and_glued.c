// The same conversation a byte at a time, and two requests in one segment: a server that looks for
// the ends of messages does not mind.
// OPTIONS: --protocol=echo-lines
// EXPECT: clean
#include "../peers.h"

static void client(int fd) {
  const char *text = "hello\nis anybody there?\n";
  char reply[64];
  for (size_t i = 0; i < strlen(text); i++) write(fd, text + i, 1);
  take(fd, reply, strlen(text));
  write(fd, text, strlen(text));
  take(fd, reply, strlen(text));
}

static void server(int fd) {
  char line[64];
  FILE *in = fdopen(dup(fd), "r");
  FILE *out = fdopen(dup(fd), "w");
  while (fgets(line, sizeof(line), in) != NULL) {
    fprintf(out, "%s", line);
    fflush(out);
  }
  fclose(in);
  fclose(out);
}

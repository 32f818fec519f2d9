// The stream's buffer is written out after shutdown: SIGPIPE, though the peer still reads.
// EXIT: SIGPIPE
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
  int ends[2];
  char text[32];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  if (fork() == 0) {
    close(ends[0]);
    while (read(ends[1], text, sizeof(text)) > 0)
      ;
    char until_closed;
    read(ends[1], &until_closed, 1);
    _exit(0);
  }
  close(ends[1]);
  FILE *out = fdopen(ends[0], "w");
  fputs("first\n", out);
  fflush(out);
  shutdown(ends[0], SHUT_WR);
  fputs("postscript\n", out);
  fclose(out);  // EXPECT: socket-wrong-state
  return 0;
}

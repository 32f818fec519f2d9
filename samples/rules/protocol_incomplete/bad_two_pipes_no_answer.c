// A parent and its child talk over two pipes. The child takes a request and
// ends without an answer.
// OPTIONS: --protocol=parent_asks.protocol
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void answer(int in_fd, int out_fd) {
  char request[64];
  ssize_t got = read(in_fd, request, sizeof(request));  // EXPECT: protocol-incomplete
  if (got > 0 && memcmp(request, "quit", 4) != 0) write(out_fd, request, (size_t)got);
  close(in_fd);
  close(out_fd);
}

int main(void) {
  int requests[2], replies[2];
  if (pipe(requests) != 0 || pipe(replies) != 0) return 1;
  if (fork() == 0) {
    close(requests[1]);
    close(replies[0]);
    answer(requests[0], replies[1]);
    exit(0);
  }
  close(requests[0]);
  close(replies[1]);
  FILE *in = fdopen(replies[0], "r");
  char line[64];
  dprintf(requests[1], "quit\n");
  fgets(line, sizeof(line), in);
  close(requests[1]);
  fclose(in);
  wait(NULL);
  return 0;
}

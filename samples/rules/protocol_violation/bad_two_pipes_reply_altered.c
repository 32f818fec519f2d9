// A parent and its child talk over two pipes. The child cuts what it repeats.
// OPTIONS: --protocol=parent_asks.protocol
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void answer(int in_fd, int out_fd) {
  FILE *in = fdopen(in_fd, "r");
  FILE *out = fdopen(out_fd, "w");
  char line[64];
  while (fgets(line, sizeof(line), in) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    fprintf(out, "%.8s\n", line);
    fflush(out);  // EXPECT: protocol-violation
  }
  fclose(in);
  fclose(out);
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
  dprintf(requests[1], "short\n");
  fgets(line, sizeof(line), in);
  dprintf(requests[1], "much too long\n");
  fgets(line, sizeof(line), in);
  close(requests[1]);
  fclose(in);
  wait(NULL);
  return 0;
}

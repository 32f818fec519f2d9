// A parent and a program that it starts talk over two pipes, its standard input and output, with
// several requests under way; a third pipe, its standard error, is no part of that.
// OPTIONS: --protocol=parent_asks.protocol
// EXPECT: clean
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void answer(void) {
  char line[64];
  fprintf(stderr, "started\n");
  while (fgets(line, sizeof(line), stdin) != NULL) {
    printf("%s", line);
    fflush(stdout);
  }
}

int main(int argc, char **argv) {
  int requests[2], replies[2], log[2];
  if (argc > 1) {
    answer();
    return 0;
  }
  if (pipe(requests) != 0 || pipe(log) != 0 || pipe(replies) != 0) return 1;
  if (fork() == 0) {
    dup2(requests[0], 0);
    dup2(replies[1], 1);
    dup2(log[1], 2);
    for (int i = 0; i < 2; i++) {
      close(requests[i]);
      close(replies[i]);
      close(log[i]);
    }
    execl("/proc/self/exe", argv[0], "answer", NULL);
    _exit(127);
  }
  close(requests[0]);
  close(replies[1]);
  close(log[1]);
  FILE *in = fdopen(replies[0], "r");
  char line[64];
  dprintf(requests[1], "one\n");
  dprintf(requests[1], "two\nth");
  fgets(line, sizeof(line), in);
  dprintf(requests[1], "ree\n");
  fgets(line, sizeof(line), in);
  close(requests[1]);
  fgets(line, sizeof(line), in);
  fclose(in);
  while (read(log[0], line, sizeof(line)) > 0) {
  }
  close(log[0]);
  wait(NULL);
  return 0;
}

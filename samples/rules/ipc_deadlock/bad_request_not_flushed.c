// The request goes into a FILE* over a socket and stays in its buffer; both sides wait.
// HANGS
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int serve(int connection) {
  char request[64];
  ssize_t got = read(connection, request, sizeof(request));
  if (got > 0) write(connection, "42\n", 3);
  close(connection);
  return 0;
}

int main(void) {
  int ends[2];
  char answer[64];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  if (fork() == 0) {
    close(ends[0]);
    return serve(ends[1]);
  }
  close(ends[1]);
  FILE *to = fdopen(ends[0], "w");
  FILE *from = fdopen(dup(ends[0]), "r");
  fprintf(to, "what is six times seven?\n");
  fgets(answer, sizeof(answer), from);  // EXPECT: ipc-deadlock
  printf("%s", answer);
  wait(NULL);
  return 0;
}

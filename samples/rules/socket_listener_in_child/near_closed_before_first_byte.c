// The child does other work with the listener still open, and closes it just before its first byte
// of the connection.
// EXPECT: clean
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void serve(int connection, int listener) {
  char line[32];
  int length = snprintf(line, sizeof(line), "process %d\n", (int)getpid());
  FILE *log = fopen("/dev/null", "w");
  fputs(line, log);
  fclose(log);
  close(listener);
  write(connection, line, (size_t)length);
  close(connection);
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 8);
  getsockname(listener, (struct sockaddr *)&address, &length);

  int client = socket(AF_INET, SOCK_STREAM, 0);
  connect(client, (struct sockaddr *)&address, length);
  int connection = accept(listener, NULL, NULL);
  pid_t child = fork();
  if (child == 0) {
    close(client);
    serve(connection, listener);
    exit(0);
  }
  close(connection);
  char c;
  while (read(client, &c, 1) == 1) {
  }
  waitpid(child, NULL, 0);
  close(client);
  close(listener);
  return 0;
}

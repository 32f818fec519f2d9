// A stream is put on the socket that listens, in place of on what accept would return.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  char line[64];
  signal(SIGPIPE, SIG_IGN);
  int server = socket(AF_INET, SOCK_STREAM, 0);
  bind(server, (struct sockaddr *)&address, sizeof(address));
  listen(server, 5);
  FILE *client = fdopen(server, "r+");
  if (fgets(line, sizeof(line), client) == NULL)  // EXPECT: socket-wrong-state
    perror("fgets");
  clearerr(client);
  fputs("good bye\n", client);
  if (fflush(client) != 0)  // EXPECT: socket-wrong-state
    perror("fflush");
  fclose(client);
  return 0;
}

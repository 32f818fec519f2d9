// The server refuses a request that it has not read to the end. Its close resets the connection,
// so the client gets ECONNRESET where it expected the end of the answer.
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  char request[4000], answer[64];
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 4);
  getsockname(listener, (struct sockaddr *)&address, &length);
  pid_t server = fork();
  if (server == 0) {
    int connection = accept(listener, NULL, NULL);
    close(listener);
    recv(connection, request, sizeof(request), MSG_PEEK);  // it is all there
    read(connection, request, 4);
    write(connection, "no\n", 3);
    close(connection);  // EXPECT: socket-reset
    _exit(0);
  }
  close(listener);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  connect(fd, (struct sockaddr *)&address, sizeof(address));
  memset(request, 'x', sizeof(request));
  write(fd, request, sizeof(request));
  waitpid(server, NULL, 0);
  ssize_t got;
  while ((got = read(fd, answer, sizeof(answer))) > 0) {
  }
  if (got < 0) perror("read");
  close(fd);
  return 0;
}

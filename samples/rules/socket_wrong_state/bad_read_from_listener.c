// The server reads from the listening socket instead of the one that accept returned.
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  char buffer[32];
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 4);
  getsockname(listener, (struct sockaddr *)&address, &length);
  pid_t client = fork();
  if (client == 0) {
    close(listener);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, (struct sockaddr *)&address, sizeof(address));
    read(fd, buffer, sizeof(buffer));
    close(fd);
    _exit(0);
  }
  int connection = accept(listener, NULL, NULL);
  if (read(listener, buffer, sizeof(buffer)) < 0)  // EXPECT: socket-wrong-state
    perror("read");
  write(connection, "bye\n", 4);
  close(connection);
  close(listener);
  waitpid(client, NULL, 0);
  return 0;
}

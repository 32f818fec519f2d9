// The child puts the connection on standard input and output, as inetd does, and serves. The
// listening socket stays open in it.
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 5);
  getsockname(listener, (struct sockaddr *)&address, &length);

  pid_t client = fork();
  if (client == 0) {
    char c = 'a';
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    close(listener);
    connect(fd, (struct sockaddr *)&address, length);
    write(fd, &c, 1);
    read(fd, &c, 1);
    close(fd);
    exit(0);
  }
  int connection = accept(listener, NULL, NULL);
  pid_t child = fork();  // EXPECT: socket-listener-in-child
  if (child == 0) {
    char c;
    dup2(connection, STDIN_FILENO);
    dup2(connection, STDOUT_FILENO);
    close(connection);
    read(STDIN_FILENO, &c, 1);
    write(STDOUT_FILENO, &c, 1);
    exit(0);
  }
  close(connection);
  waitpid(child, NULL, 0);
  waitpid(client, NULL, 0);
  close(listener);
  return 0;
}

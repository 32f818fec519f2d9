// The parent closes its copy only after the child has ended: late, but before the next accept.
// EXPECT: clean
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS = 3 };

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 5);
  getsockname(listener, (struct sockaddr *)&address, &length);

  pid_t clients = fork();
  if (clients == 0) {
    close(listener);
    for (int i = 0; i < CLIENTS; i++) {
      char c;
      int fd = socket(AF_INET, SOCK_STREAM, 0);
      connect(fd, (struct sockaddr *)&address, length);
      while (read(fd, &c, 1) == 1) {
      }
      close(fd);
    }
    exit(0);
  }
  for (int i = 0; i < CLIENTS; i++) {
    int connection = accept(listener, NULL, NULL);
    pid_t child = fork();
    if (child == 0) {
      close(listener);
      write(connection, "served\n", 7);
      exit(0);
    }
    waitpid(child, NULL, 0);
    close(connection);
  }
  close(listener);
  waitpid(clients, NULL, 0);
  return 0;
}

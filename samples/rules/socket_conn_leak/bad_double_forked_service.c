// Each connection goes to a grandchild, so that nobody need wait for it. The parent forgets that it
// still has the connection itself: the client waits for end-of-file until the server ends.
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS = 3 };

static void client(struct sockaddr_in *server) {
  char c;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  connect(fd, (struct sockaddr *)server, sizeof(*server));
  read(fd, &c, 1);
  close(fd);
}

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
    for (int i = 0; i < CLIENTS; i++) client(&address);
    _exit(0);
  }
  for (int i = 0; i < CLIENTS; i++) {
    int connection = accept(listener, NULL, NULL);  // EXPECT: socket-conn-leak
    pid_t middle = fork();
    if (middle == 0) {
      close(listener);
      if (fork() != 0) _exit(0);
      write(connection, "!", 1);
      close(connection);
      _exit(0);
    }
    waitpid(middle, NULL, 0);
  }
  close(listener);
  waitpid(clients, NULL, 0);
  return 0;
}

// A prefork server: the children have the listener because they accept on it.
// EXPECT: clean
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 2, EACH = 2 };

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 8);
  getsockname(listener, (struct sockaddr *)&address, &length);

  for (int w = 0; w < WORKERS; w++) {
    if (fork() == 0) {
      for (int i = 0; i < EACH; i++) {
        char c;
        int connection = accept(listener, NULL, NULL);
        while (read(connection, &c, 1) == 1) write(connection, &c, 1);
        close(connection);
      }
      exit(0);
    }
  }
  for (int i = 0; i < WORKERS * EACH; i++) {
    char c = 'p';
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, (struct sockaddr *)&address, length);
    write(fd, &c, 1);
    read(fd, &c, 1);
    close(fd);
  }
  close(listener);
  while (wait(NULL) > 0) {
  }
  return 0;
}

// Clients of their own processes come when they like. Each is served at once, so that whether one
// waits for another for a moment is chance, and no property of the server.
// EXPECT: clean
// STRICT
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS = 6 };

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  char buffer[16];
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, CLIENTS);
  getsockname(listener, (struct sockaddr *)&address, &length);
  for (int i = 0; i < CLIENTS; i++) {
    if (fork() != 0) continue;
    close(listener);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, (struct sockaddr *)&address, length);
    write(fd, "hello", 5);
    read(fd, buffer, sizeof(buffer));
    close(fd);
    _exit(0);
  }
  for (int i = 0; i < CLIENTS; i++) {
    int connection = accept(listener, NULL, NULL);
    ssize_t got;
    while ((got = read(connection, buffer, sizeof(buffer))) > 0)
      write(connection, buffer, (size_t)got);
    close(connection);
  }
  close(listener);
  while (wait(NULL) > 0) {
  }
  return 0;
}

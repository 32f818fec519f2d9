// A process for each client, however many come: here ten.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS = 10 };

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  char buffer[8];
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 16);
  getsockname(listener, (struct sockaddr *)&address, &length);
  if (fork() == 0) {
    int fd[CLIENTS];
    close(listener);
    for (int i = 0; i < CLIENTS; i++) {
      fd[i] = socket(AF_INET, SOCK_STREAM, 0);
      connect(fd[i], (struct sockaddr *)&address, sizeof(address));
    }
    // The last one speaks first, so that all are served at once.
    for (int i = CLIENTS - 1; i >= 0; i--) {
      write(fd[i], "hello", 5);
      read(fd[i], buffer, sizeof(buffer));
    }
    for (int i = 0; i < CLIENTS; i++) close(fd[i]);
    _exit(0);
  }
  for (int i = 0; i < CLIENTS; i++) {
    int connection = accept(listener, NULL, NULL);
    if (fork() == 0) {  // EXPECT-NOTE: socket-unbounded-threads
      ssize_t got;
      close(listener);
      while ((got = read(connection, buffer, sizeof(buffer))) > 0)
        write(connection, buffer, (size_t)got);
      close(connection);
      _exit(0);
    }
    close(connection);
  }
  close(listener);
  while (wait(NULL) > 0) {
  }
  return 0;
}

// At most four children at once: before the fifth fork one of them is waited for.
// EXPECT: clean
// STRICT
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS = 12, MOST = 4 };

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  char buffer[8];
  int children = 0;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 16);
  getsockname(listener, (struct sockaddr *)&address, &length);
  pid_t clients = fork();
  if (clients == 0) {
    close(listener);
    for (int i = 0; i < CLIENTS; i++) {
      int fd = socket(AF_INET, SOCK_STREAM, 0);
      connect(fd, (struct sockaddr *)&address, sizeof(address));
      write(fd, "hello", 5);
      read(fd, buffer, sizeof(buffer));
      close(fd);
    }
    _exit(0);
  }
  for (int i = 0; i < CLIENTS; i++) {
    int connection = accept(listener, NULL, NULL);
    if (children == MOST) {
      wait(NULL);
      children--;
    }
    if (fork() == 0) {
      close(listener);
      ssize_t got = read(connection, buffer, sizeof(buffer));
      write(connection, buffer, (size_t)got);
      close(connection);
      _exit(0);
    }
    children++;
    close(connection);
  }
  close(listener);
  while (wait(NULL) > 0) {
  }
  return 0;
}

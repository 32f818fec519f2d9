// poll bounds how long the server waits for a client; who has come is served to the end all the
// same before the next one is let in.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  socklen_t length = sizeof(sa_family_t);  // the kernel thinks up a name
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  length = sizeof(address);
  getsockname(listener, (struct sockaddr *)&address, &length);
  listen(listener, 8);
  pid_t clients = fork();
  if (clients == 0) {
    int fd[2];
    char answer[8];
    close(listener);
    for (int i = 0; i < 2; i++) {
      fd[i] = socket(AF_UNIX, SOCK_STREAM, 0);
      connect(fd[i], (struct sockaddr *)&address, length);
    }
    for (int i = 0; i < 2; i++) {
      write(fd[i], "request", 7);
      read(fd[i], answer, sizeof(answer));
      close(fd[i]);
    }
    _exit(0);
  }
  for (int served = 0; served < 2; served++) {
    struct pollfd client = {.fd = listener, .events = POLLIN};
    if (poll(&client, 1, 10000) <= 0) return 1;
    int connection = accept(listener, NULL, NULL);  // EXPECT-NOTE: socket-serial-server
    char request[8];
    ssize_t got;
    while ((got = read(connection, request, sizeof(request))) > 0) write(connection, request, got);
    close(connection);
  }
  close(listener);
  waitpid(clients, NULL, 0);
  return 0;
}

// A child for each connection, but the parent waits for it before it accepts the next.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS = 3 };

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 8);
  getsockname(listener, (struct sockaddr *)&address, &length);
  pid_t clients = fork();
  if (clients == 0) {
    int fd[CLIENTS];
    char answer[8];
    close(listener);
    for (int i = 0; i < CLIENTS; i++) {
      fd[i] = socket(AF_INET, SOCK_STREAM, 0);
      connect(fd[i], (struct sockaddr *)&address, sizeof(address));
    }
    for (int i = 0; i < CLIENTS; i++) {
      read(fd[i], answer, sizeof(answer));
      close(fd[i]);
    }
    _exit(0);
  }
  for (int i = 0; i < CLIENTS; i++) {
    int connection = accept(listener, NULL, NULL);  // EXPECT-NOTE: socket-serial-server
    pid_t pid = fork();
    if (pid == 0) {
      close(listener);
      usleep(250000);  // the service takes its time
      write(connection, "done", 4);
      close(connection);
      _exit(0);
    }
    close(connection);
    waitpid(pid, NULL, 0);
  }
  close(listener);
  waitpid(clients, NULL, 0);
  return 0;
}

// One process, but it serves all its clients by turns, as poll tells.
// EXPECT: clean
// STRICT
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS = 3 };

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  struct pollfd set[1 + CLIENTS];
  int open_clients = 1, served = 0;
  char buffer[16];
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 8);
  getsockname(listener, (struct sockaddr *)&address, &length);
  pid_t clients = fork();
  if (clients == 0) {
    int fd[CLIENTS];
    close(listener);
    for (int i = 0; i < CLIENTS; i++) {
      fd[i] = socket(AF_INET, SOCK_STREAM, 0);
      connect(fd[i], (struct sockaddr *)&address, sizeof(address));
    }
    for (int i = 0; i < CLIENTS; i++) {
      usleep(20000);
      write(fd[i], "hello", 5);
      read(fd[i], buffer, sizeof(buffer));
      close(fd[i]);
    }
    _exit(0);
  }
  set[0] = (struct pollfd){.fd = listener, .events = POLLIN};
  while (served < CLIENTS) {
    poll(set, (nfds_t)open_clients, -1);
    for (int i = open_clients - 1; i > 0; i--) {
      if (set[i].revents == 0) continue;
      ssize_t got = read(set[i].fd, buffer, sizeof(buffer));
      if (got > 0) {
        write(set[i].fd, buffer, (size_t)got);
      } else {
        close(set[i].fd);
        set[i] = set[--open_clients];
        served++;
      }
    }
    if (set[0].revents != 0 && open_clients <= CLIENTS)
      set[open_clients++] =
          (struct pollfd){.fd = accept(listener, NULL, NULL), .events = POLLIN};
  }
  close(listener);
  waitpid(clients, NULL, 0);
  return 0;
}

// A server and a client on one connection: each program says what the two do.
#ifndef PEERS_H_
#define PEERS_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void client(int fd);
static void server(int fd);

// Takes exactly `size` bytes; returns 0 at end-of-file.
static inline int take(int fd, void *data, size_t size) {
  for (size_t have = 0; have < size;) {
    ssize_t got = read(fd, (char *)data + have, size - have);
    if (got <= 0) return 0;
    have += (size_t)got;
  }
  return 1;
}

// Takes bytes up to a NUL; returns 0 at end-of-file.
static inline int take_text(int fd, char *text) {
  do {
    if (!take(fd, text, 1)) return 0;
  } while (*text++ != 0);
  return 1;
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof(address);
  int yes = 1;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0) return 1;
  getsockname(listener, (struct sockaddr *)&address, &length);
  pid_t pid = fork();
  if (pid == 0) {
    close(listener);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) exit(1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    client(fd);
    close(fd);
    exit(0);
  }
  int fd = accept(listener, NULL, NULL);
  server(fd);
  close(fd);
  close(listener);
  waitpid(pid, NULL, 0);
  return 0;
}

#endif  // PEERS_H_

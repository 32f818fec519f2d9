// What the lecture's servers share: the set-up that its slides elide, the service, and clients to
// drive them, so that each program runs and ends by itself.
#ifndef SERVER_SETUP_H_
#define SERVER_SETUP_H_

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_QUEUE = 16 };

static struct sockaddr_in address;  // of the server

// Returns a socket that listens on a free port of this machine.
static int set_up_server(void) {
  socklen_t length = sizeof(address);
  int server_socket = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (server_socket < 0 || bind(server_socket, (struct sockaddr *)&address, length) != 0 ||
      listen(server_socket, MAX_QUEUE) != 0 ||
      getsockname(server_socket, (struct sockaddr *)&address, &length) != 0) {
    perror("set-up");
    exit(1);
  }
  return server_socket;
}

// Serves a connection until the client has no more to say: every byte comes back.
static void serve_client(int conn_socket) {
  char request[64];
  ssize_t got;
  while ((got = read(conn_socket, request, sizeof(request))) > 0)
    write(conn_socket, request, (size_t)got);
}

static int connect_to_server(void) {
  int sock_fd = socket(AF_INET, SOCK_STREAM, 0);
  if (sock_fd < 0 || connect(sock_fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
    perror("connect");
    exit(1);
  }
  return sock_fd;
}

// Sends a request and waits for the whole answer.
static void run_client(int sock_fd) {
  const char request[] = "a request";
  char answer[64];
  size_t have = 0;
  write(sock_fd, request, sizeof(request));
  while (have < sizeof(request)) {
    ssize_t got = read(sock_fd, answer + have, sizeof(answer) - have);
    if (got <= 0) break;
    have += (size_t)got;
  }
}

// Starts a process with `count` clients, of which the next comes when the one before has gone, and
// `pause_ms` later.
static pid_t start_clients(int server_socket, int count, int pause_ms) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  close(server_socket);
  for (int i = 0; i < count; i++) {
    if (i > 0) usleep(1000 * (useconds_t)pause_ms);
    int sock_fd = connect_to_server();
    run_client(sock_fd);
    close(sock_fd);
  }
  exit(0);
}

// Starts a process with `count` clients who are all connected before the first speaks.
static inline pid_t start_crowd(int server_socket, int count) {
  int sock_fd[count];
  pid_t pid = fork();
  if (pid != 0) return pid;
  close(server_socket);
  for (int i = 0; i < count; i++) sock_fd[i] = connect_to_server();
  usleep(100000);  // they wait
  for (int i = 0; i < count; i++) {
    run_client(sock_fd[i]);
    close(sock_fd[i]);
  }
  exit(0);
}

#endif  // SERVER_SETUP_H_

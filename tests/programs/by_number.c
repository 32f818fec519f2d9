// Makes by syscall(2) what programs make by libc's functions.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void need(long result, const char *what) {
  if (result >= 0) return;
  perror(what);
  _exit(1);
}

int main(void) {
  int pair[2], status;
  char text[6] = "";
  struct iovec out[2] = {{"he", 2}, {"llo", 3}}, in = {text, 5};
  need(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
  need(syscall(SYS_writev, pair[0], out, 2), "writev");
  need(syscall(SYS_readv, pair[1], &in, 1), "readv");
  need(syscall(SYS_sendto, pair[1], "back", 4, 0, NULL, 0), "sendto");
  need(syscall(SYS_recvfrom, pair[0], text, 4, 0, NULL, NULL), "recvfrom");

  struct sockaddr_un address = {.sun_family = AF_UNIX};  // the kernel chooses a name
  socklen_t length = sizeof(address);
  long listener = syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
  need(listener, "socket");
  need(syscall(SYS_bind, listener, &address, sizeof(sa_family_t)), "bind");
  need(syscall(SYS_listen, listener, 1), "listen");
  need(getsockname((int)listener, (struct sockaddr *)&address, &length), "getsockname");
  pid_t child = fork();
  if (child == 0) {
    long client = syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
    need(syscall(SYS_connect, client, &address, length), "connect");
    need(syscall(SYS_shutdown, client, SHUT_WR), "shutdown");
    _exit(7);
  }
  long connection = syscall(SYS_accept4, listener, NULL, NULL, SOCK_CLOEXEC);
  need(connection, "accept4");
  long epoll = syscall(SYS_epoll_create1, 0);
  struct epoll_event event = {.events = EPOLLIN};
  need(syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, connection, &event), "epoll_ctl");
  need(syscall(SYS_epoll_wait, epoll, &event, 1, -1), "epoll_wait");
  need(syscall(SYS_wait4, child, &status, 0, NULL), "wait4");
  long timer = syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 0);
  need(timer, "timerfd_create");
  long copy = syscall(SYS_fcntl, timer, F_DUPFD_CLOEXEC, 20);
  printf("%s %d %ld\n", text, WEXITSTATUS(status), copy);

  long all[] = {pair[0], pair[1], listener, connection, epoll, timer, copy};
  for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); ++i) need(syscall(SYS_close, all[i]), "close");
  return 0;
}

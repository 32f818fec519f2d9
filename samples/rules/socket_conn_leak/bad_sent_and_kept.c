// The acceptor sends each connection to a worker in a message, and keeps its own copy.
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS = 3 };

static struct msghdr *message(void) {
  static char byte, control[CMSG_SPACE(sizeof(int))];
  static struct iovec data = {.iov_base = &byte, .iov_len = 1};
  static struct msghdr header;
  header = (struct msghdr){.msg_iov = &data, .msg_iovlen = 1};
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  return &header;
}

static void send_descriptor(int channel, int fd) {
  struct msghdr *header = message();
  struct cmsghdr *part = CMSG_FIRSTHDR(header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(part), &fd, sizeof(fd));
  sendmsg(channel, header, 0);
}

static int receive_descriptor(int channel) {
  struct msghdr *header = message();
  int fd;
  if (recvmsg(channel, header, 0) <= 0) return -1;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(header)), sizeof(fd));
  return fd;
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  int channel[2], connection;
  char word[8];
  socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel);
  pid_t worker = fork();
  if (worker == 0) {
    close(channel[0]);
    while ((connection = receive_descriptor(channel[1])) >= 0) {
      ssize_t got = read(connection, word, sizeof(word));
      write(connection, word, got);
      close(connection);
    }
    _exit(0);
  }
  close(channel[1]);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 8);
  getsockname(listener, (struct sockaddr *)&address, &length);
  pid_t clients = fork();
  if (clients == 0) {
    close(listener);
    close(channel[0]);
    for (int i = 0; i < CLIENTS; i++) {
      int fd = socket(AF_INET, SOCK_STREAM, 0);
      connect(fd, (struct sockaddr *)&address, sizeof(address));
      write(fd, "word", 4);
      read(fd, word, sizeof(word));
      close(fd);
    }
    _exit(0);
  }
  for (int i = 0; i < CLIENTS; i++) {
    connection = accept(listener, NULL, NULL);  // EXPECT: socket-conn-leak
    send_descriptor(channel[0], connection);
  }
  close(channel[0]);
  close(listener);
  waitpid(clients, NULL, 0);
  waitpid(worker, NULL, 0);
  return 0;
}

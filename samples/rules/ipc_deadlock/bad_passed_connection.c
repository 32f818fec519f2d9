// The acceptor passes the connection on in a message and closes it before the worker has taken it
// out. Then the worker waits for a request, and the client for a greeting.
// HANGS
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static union {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
} control;
static char byte;
static struct iovec data = {.iov_base = &byte, .iov_len = 1};

int main(void) {
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes};
  int channel[2], gone[2], ends[2];
  char word[16];
  message.msg_controllen = sizeof(control.bytes);
  socketpair(AF_UNIX, SOCK_STREAM, 0, channel);
  pipe(gone);
  pid_t worker = fork();
  if (worker == 0) {
    int connection;
    close(channel[0]);
    close(gone[1]);
    read(gone[0], word, 1);  // until the acceptor has closed
    recvmsg(channel[1], &message, 0);
    memcpy(&connection, CMSG_DATA(&control.header), sizeof(connection));
    read(connection, word, sizeof(word));  // EXPECT-EITHER: ipc-deadlock
    _exit(0);
  }
  close(channel[1]);
  close(gone[0]);
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  pid_t client = fork();
  if (client == 0) {
    close(ends[0]);
    close(channel[0]);
    close(gone[1]);
    read(ends[1], word, sizeof(word));  // EXPECT-EITHER: ipc-deadlock
    _exit(0);
  }
  close(ends[1]);
  control.header = (struct cmsghdr){
      .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
  memcpy(CMSG_DATA(&control.header), &ends[0], sizeof(int));
  sendmsg(channel[0], &message, 0);
  close(ends[0]);
  close(gone[1]);
  waitpid(client, NULL, 0);
  close(channel[0]);
  waitpid(worker, NULL, 0);
  return 0;
}

// A pipe's write end is sent to a helper and closed at once: on its way nobody holds it. The helper
// says its word over it and waits for more orders; the parent waits for more words.
// HANGS
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void exchange(int socket, int *fd, int sends) {
  char byte = 'f', control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (!sends) {
    recvmsg(socket, &message, 0);
    memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(*fd));
    return;
  }
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), fd, sizeof(*fd));
  sendmsg(socket, &message, 0);
}

int main(void) {
  int ends[2], fds[2];
  char buffer[16];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  if (fork() == 0) {
    int words;
    close(ends[0]);
    exchange(ends[1], &words, 0);
    do {
      write(words, "a word", 6);
    } while (read(ends[1], buffer, 1) > 0);
    _exit(0);
  }
  close(ends[1]);
  pipe(fds);
  exchange(ends[0], &fds[1], 1);
  close(fds[1]);
  while (read(fds[0], buffer, sizeof(buffer)) > 0) {  // EXPECT: ipc-deadlock
  }
  close(ends[0]);
  wait(NULL);
  return 0;
}

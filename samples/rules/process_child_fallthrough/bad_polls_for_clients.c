// The child serves its client, and then polls and accepts like its parent. The parent never comes to
// accept again, since the child is quicker: it still looks for clients.
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t length = sizeof(address);

static void client(void) {
  char answer[8];
  for (int i = 0; i < 2; i++) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    connect(fd, (struct sockaddr *)&address, length);
    write(fd, "hello", 5);
    read(fd, answer, sizeof(answer));
    close(fd);
  }
  exit(0);
}

int main(void) {
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t));  // the kernel thinks up a name
  listen(listener, 8);
  getsockname(listener, (struct sockaddr *)&address, &length);
  if (fork() == 0) {
    close(listener);
    client();
  }
  int is_child = 0;
  int accepted = eventfd(0, 0);
  uint64_t count = 1;
  for (;;) {
    struct pollfd entry = {listener, POLLIN, 0};
    if (poll(&entry, 1, 500) <= 0) break;
    int connection = accept(listener, NULL, NULL);  // EXPECT: process-child-fallthrough
    if (is_child) write(accepted, &count, sizeof(count));
    if (fork() == 0) {
      char request[8];
      ssize_t got = read(connection, request, sizeof(request));
      write(connection, request, (size_t)got);
      is_child = 1;
    }
    close(connection);
    if (!is_child) read(accepted, &count, sizeof(count));
  }
  close(listener);
  while (wait(NULL) > 0) {
  }
  return 0;
}

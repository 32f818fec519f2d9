// A helper closes its socket and returns -1 when it cannot connect. Nobody looks.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int dial(const char* path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return -1;
  if (connect(fd, (struct sockaddr*)&address, sizeof(address)) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

int main(void) {
  int server = dial("/nonexistent/server");
  if (write(server, "hello", 5) != 5)  // EXPECT: fd-unchecked-error
    puts("nothing was sent");
  close(server);
  return 0;
}

// One socket for two connections: the second connect is refused by the socket itself.
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in address = {.sin_family = AF_INET};

static void client(void) {
  char answer[8];
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  for (int i = 0; i < 2; i++) {
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {  // EXPECT: socket-wrong-state
      perror("connect");
      break;
    }
    write(fd, "hi", 2);
    read(fd, answer, sizeof(answer));
  }
  close(fd);
}

int main(void) {
  socklen_t length = sizeof(address);
  char request[8];
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 4);
  getsockname(listener, (struct sockaddr *)&address, &length);
  pid_t pid = fork();
  if (pid == 0) {
    close(listener);
    client();
    _exit(0);
  }
  int connection = accept(listener, NULL, NULL);
  read(connection, request, sizeof(request));
  write(connection, "ho", 2);
  read(connection, request, sizeof(request));  // end-of-file
  close(connection);
  close(listener);
  waitpid(pid, NULL, 0);
  return 0;
}

// The client gets the server's port as a number and puts it into the address as it is.
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in address;
  socklen_t length = sizeof(address);
  unsigned short port;
  int listener, channel[2];
  do {  // a port that reads the same from both sides would hide the mistake
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, length);
    listen(listener, 4);
    getsockname(listener, (struct sockaddr *)&address, &length);
    port = ntohs(address.sin_port);
    if (port % 256 == port / 256) close(listener);
  } while (port % 256 == port / 256);
  pipe(channel);
  pid_t client = fork();
  if (client == 0) {
    close(listener);
    close(channel[1]);
    read(channel[0], &port, sizeof(port));
    close(channel[0]);
    address.sin_port = port;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)  // EXPECT: socket-byte-order
      perror("connect");
    close(fd);
    _exit(0);
  }
  close(channel[0]);
  write(channel[1], &port, sizeof(port));
  close(channel[1]);
  waitpid(client, NULL, 0);
  close(listener);
  return 0;
}

// The child serves its client by sendfile alone, and has the listening socket open all the while.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(address);
  char text[64];
  int server = socket(AF_INET, SOCK_STREAM, 0);
  bind(server, (struct sockaddr *)&address, size);
  listen(server, 5);
  getsockname(server, (struct sockaddr *)&address, &size);
  pid_t client = fork();
  if (client == 0) {
    close(server);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    connect(connection, (struct sockaddr *)&address, size);
    while (read(connection, text, sizeof(text)) > 0) {
    }
    close(connection);
    _exit(0);
  }
  int connection = accept(server, NULL, NULL);
  pid_t child = fork();  // EXPECT: socket-listener-in-child
  if (child == 0) {
    int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    sendfile(connection, file, NULL, 4096);
    close(file);
    close(connection);
    _exit(0);
  }
  close(connection);
  waitpid(child, NULL, 0);
  waitpid(client, NULL, 0);
  close(server);
  return 0;
}

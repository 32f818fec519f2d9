// A server closes the connection it has served once more when the next one is there, which has got
// its number. The next client is cut off unheard.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(address);
  int last = -1;
  char byte;
  int server = socket(AF_INET, SOCK_STREAM, 0);
  bind(server, (struct sockaddr *)&address, size);
  listen(server, 5);
  getsockname(server, (struct sockaddr *)&address, &size);
  pid_t clients = fork();
  if (clients == 0) {
    close(server);
    for (int i = 0; i < 2; i++) {
      int connection = socket(AF_INET, SOCK_STREAM, 0);
      connect(connection, (struct sockaddr *)&address, size);
      shutdown(connection, SHUT_WR);
      while (read(connection, &byte, 1) > 0) {
      }
      close(connection);
    }
    _exit(0);
  }
  for (int i = 0; i < 2; i++) {
    int connection = accept(server, NULL, NULL);
    if (last >= 0) close(last);  // EXPECT: fd-double-close
    write(connection, "x", 1);
    close(connection);
    last = connection;
  }
  waitpid(clients, NULL, 0);
  close(server);
  return 0;
}

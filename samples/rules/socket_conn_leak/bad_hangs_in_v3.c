// The lecture's v3 but for one line: the server does not close the connection that its child serves.
// It is in the next accept before the child has ended, and the client reads to an end-of-file.
// HANGS
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(address);
  char text[64];
  int server_socket = socket(AF_INET, SOCK_STREAM, 0);
  bind(server_socket, (struct sockaddr *)&address, size);
  listen(server_socket, 5);
  getsockname(server_socket, (struct sockaddr *)&address, &size);
  if (fork() == 0) {
    close(server_socket);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    connect(client, (struct sockaddr *)&address, size);
    write(client, "hello", 5);
    while (read(client, text, sizeof(text)) > 0) {
    }
    close(client);
    exit(0);
  }
  while (1) {
    int conn_socket = accept(server_socket, NULL, NULL);  // EXPECT: socket-conn-leak
    if (fork() == 0) {
      close(server_socket);
      ssize_t got = read(conn_socket, text, sizeof(text));
      write(conn_socket, text, (size_t)got);
      close(conn_socket);
      exit(0);
    }
  }
}

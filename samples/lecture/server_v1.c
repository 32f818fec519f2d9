// Server v1: one connection after the other, in one process. Whoever comes meanwhile waits in the
// listen queue.
#include <netdb.h>

#include "server_setup.h"

enum { CLIENTS = 3 };

static struct addrinfo *setup_address(const char *port) {
  struct addrinfo *server = NULL;
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  if (getaddrinfo("127.0.0.1", port, &hints, &server) != 0) exit(1);
  return server;
}

int main(void) {
  // Create socket to listen for client connections
  struct addrinfo *server = setup_address("0");
  int server_socket = socket(server->ai_family, server->ai_socktype, server->ai_protocol);
  // Bind socket to specific port (0: any that is free)
  bind(server_socket, server->ai_addr, server->ai_addrlen);
  // Start listening for new client connections
  listen(server_socket, MAX_QUEUE);

  socklen_t length = sizeof(address);
  getsockname(server_socket, (struct sockaddr *)&address, &length);
  pid_t clients = start_crowd(server_socket, CLIENTS);

  for (int served = 0; served < CLIENTS; served++) {
    // Accept a new client connection, obtaining a new socket
    int conn_socket = accept(server_socket, NULL, NULL);  // EXPECT: socket-serial-server=note
    serve_client(conn_socket);
    close(conn_socket);
  }
  close(server_socket);
  waitpid(clients, NULL, 0);
  freeaddrinfo(server);
  return 0;
}

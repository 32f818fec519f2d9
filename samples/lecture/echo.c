// The echo client and server: the client sends each line of its input, the server sends it back.
// STDIN: hello\nis anybody there?\nbye\n
// EXPECT: clean
#include "server_setup.h"

enum { MAXIN = 128, MAXOUT = 128, MAXREQ = 128 };

static void client(int sockfd) {
  char sndbuf[MAXIN];
  char rcvbuf[MAXOUT];
  while (fgets(sndbuf, MAXIN, stdin) != NULL) {    // prompt
    write(sockfd, sndbuf, strlen(sndbuf) + 1);     // send (including null terminator)
    memset(rcvbuf, 0, MAXOUT);                     // clear
    ssize_t n = read(sockfd, rcvbuf, MAXOUT);      // receive
    if (n <= 0) return;
    write(STDOUT_FILENO, rcvbuf, (size_t)n);       // echo
  }
}

static void server(int consockfd) {
  char reqbuf[MAXREQ];
  while (1) {
    memset(reqbuf, 0, MAXREQ);
    ssize_t n = read(consockfd, reqbuf, MAXREQ);   // receive
    if (n <= 0) return;
    write(STDOUT_FILENO, reqbuf, (size_t)n);
    write(consockfd, reqbuf, (size_t)n);           // echo
  }
}

int main(void) {
  int server_socket = set_up_server();
  pid_t pid = fork();
  if (pid == 0) {
    close(server_socket);
    int sock_fd = connect_to_server();
    client(sock_fd);
    close(sock_fd);
    exit(0);
  }
  int conn_socket = accept(server_socket, NULL, NULL);
  server(conn_socket);
  close(conn_socket);
  close(server_socket);
  waitpid(pid, NULL, 0);
  return 0;
}

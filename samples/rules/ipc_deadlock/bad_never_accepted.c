// The client has its connection, for the kernel takes it into the queue, and waits for the greeting.
// The server waits for the client's end before it accepts.
// HANGS
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr*)&address, size);
  listen(listener, 5);
  getsockname(listener, (struct sockaddr*)&address, &size);

  pid_t client = fork();
  if (client == 0) {
    char greeting[16];
    close(listener);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    connect(server, (struct sockaddr*)&address, size);
    read(server, greeting, sizeof(greeting));  // EXPECT: ipc-deadlock
    _exit(0);
  }
  waitpid(client, NULL, 0);
  int connection = accept(listener, NULL, NULL);
  write(connection, "welcome\n", 8);
  close(connection);
  close(listener);
  return 0;
}

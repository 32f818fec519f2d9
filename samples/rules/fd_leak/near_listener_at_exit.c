// A listening socket and a FIFO stay open until the program ends: worth a note, no more. What is left of a
// connection in use gets none.
// STRICT
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);  // EXPECT-NOTE: fd-leak
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 4);
  getsockname(listener, (struct sockaddr *)&address, &length);
  int client = socket(AF_INET, SOCK_STREAM, 0);
  connect(client, (struct sockaddr *)&address, length);
  mkfifo("fifo", 0600);
  int fifo = open("fifo", O_RDWR);  // EXPECT-NOTE: fd-leak
  unlink("fifo");
  return fifo < 0;
}

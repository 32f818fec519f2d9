// A packet is a header and a body, and the sender writes them one after the other, always. The
// receiver takes what one recv gives for a packet.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct packet {
  struct {
    short type, length;
  } header;
  char body[36];
};

int main(void) {
  struct packet packet;
  int ends[2], packets = 0;
  memset(&packet, 0, sizeof(packet));
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  if (fork() == 0) {
    close(ends[0]);
    for (int i = 0; i < 3; ++i) {
      write(ends[1], &packet.header, sizeof(packet.header));
      usleep(100000);
      write(ends[1], packet.body, sizeof(packet.body));
      usleep(100000);
    }
    close(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  while (recv(ends[0], &packet, sizeof(packet), 0) > 0) ++packets;  // EXPECT: io-short-count
  close(ends[0]);
  wait(NULL);
  printf("%d packets\n", packets);
  return 0;
}

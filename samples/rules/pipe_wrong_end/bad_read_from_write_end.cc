// The ends change places on their way through a constructor.
#include <stdio.h>
#include <unistd.h>

struct Channel {
  Channel(int in, int out) : in(in), out(out) {}
  int in, out;
};

static Channel MakeChannel() {
  int fd[2];
  if (pipe(fd) != 0) perror("pipe");
  return Channel(fd[1], fd[0]);  // the wrong way round
}

int main() {
  Channel channel = MakeChannel();
  char c = 0;
  if (read(channel.in, &c, 1) < 0) perror("read");  // EXPECT: pipe-wrong-end
  close(channel.in);
  close(channel.out);
}

// Socket pairs for all workers are made before the first worker starts: the table is too small.
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <utility>
#include <vector>

using Channel = std::pair<int, int>;

static std::vector<Channel> MakeChannels(size_t wanted) {
  std::vector<Channel> channels;
  for (size_t i = 0; i < wanted; ++i) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {  // EXPECT: fd-exhausted
      perror("socketpair");
      break;
    }
    channels.emplace_back(ends[0], ends[1]);
  }
  return channels;
}

int main() {
  const rlimit limit = {24, 24};
  setrlimit(RLIMIT_NOFILE, &limit);
  const std::vector<Channel> channels = MakeChannels(32);
  for (const Channel& channel : channels) {
    char byte = 'c';
    write(channel.first, &byte, 1);
    read(channel.second, &byte, 1);
  }
  for (const Channel& channel : channels) {
    close(channel.first);
    close(channel.second);
  }
}

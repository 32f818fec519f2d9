// A stream of records over a socketpair whose other end hangs up after the first. MSG_NOSIGNAL
// saves the sender from SIGPIPE, and nobody looks at the result.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>

int main() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
  std::thread receiver([&] {
    char record[64];
    read(ends[1], record, sizeof(record));
    close(ends[1]);
  });
  const std::string record = "a record";
  send(ends[0], record.data(), record.size(), MSG_NOSIGNAL);
  receiver.join();
  for (int i = 0; i < 20; ++i) {
    send(ends[0], record.data(), record.size(), MSG_NOSIGNAL);  // EXPECT: pipe-broken
  }
  close(ends[0]);
}

// The reader's loop does not learn that a callback has closed its source.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

class Reader {
 public:
  explicit Reader(int fd) : fd_(fd) {}
  void Run(const std::function<void(char)>& on_byte) {
    char c;
    while (read(fd_, &c, 1) == 1) on_byte(c);  // EXPECT: fd-use-after-close
  }
  void Stop() { close(fd_); }

 private:
  int fd_;
};

int main() {
  Reader reader(open("/dev/zero", O_RDONLY));
  int bytes = 0;
  reader.Run([&](char) {
    if (++bytes == 10) reader.Stop();
  });
  return errno == EBADF ? 0 : 1;
}

// A copied owner: two objects close one descriptor. In between its number went to another file,
// which the second close takes away from under its user.
#include <fcntl.h>
#include <unistd.h>

class File {
 public:
  explicit File(const char* path) : fd_(open(path, O_RDWR)) {}
  ~File() { close(fd_); }  // EXPECT: fd-double-close
  int fd() const { return fd_; }

 private:
  int fd_;
};

static void Look(File file) {  // by value
  char c;
  read(file.fd(), &c, 1);
}

int main() {
  int victim;
  {
    File zero("/dev/zero");
    Look(zero);
    victim = open("/dev/null", O_WRONLY);
  }
  return write(victim, "x", 1) == 1 ? 1 : 0;
}

// A filter in a child. The parent writes all its input before it reads any output; then both pipes
// are full.
// HANGS
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <vector>

namespace {

void WriteAll(int fd, const std::vector<char>& bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = write(fd, bytes.data() + done, bytes.size() - done);  // EXPECT: ipc-deadlock
    if (n <= 0) return;
    done += static_cast<size_t>(n);
  }
}

void Filter(int in, int out) {
  std::vector<char> block(8192);
  for (ssize_t n; (n = read(in, block.data(), block.size())) > 0;) {
    for (ssize_t i = 0; i < n; ++i) block[i] = static_cast<char>(toupper(block[i]));
    write(out, block.data(), static_cast<size_t>(n));
  }
}

}  // namespace

int main() {
  int to[2], from[2];
  if (pipe(to) != 0 || pipe(from) != 0) return 1;
  if (fork() == 0) {
    close(to[1]);
    close(from[0]);
    Filter(to[0], from[1]);
    _exit(0);
  }
  close(to[0]);
  close(from[1]);
  WriteAll(to[1], std::vector<char>(400000, 'x'));
  close(to[1]);
  char block[4096];
  while (read(from[0], block, sizeof(block)) > 0) {
  }
  wait(nullptr);
}

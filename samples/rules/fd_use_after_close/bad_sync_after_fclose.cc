// The number that fileno gave is closed with the stream; fsync and mmap come too late.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

int main() {
  std::FILE* file = std::tmpfile();
  if (file == nullptr) return 1;
  const int fd = fileno(file);
  std::fputs("to be kept\n", file);
  std::fclose(file);
  if (fsync(fd) == 0) return 1;  // EXPECT: fd-use-after-close
  return mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? 0 : 1;
}

// The first use of the -1 is a mapping; MAP_ANONYMOUS is what makes -1 a right argument.
#include <fcntl.h>
#include <sys/mman.h>

int main() {
  void* scratch = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const int fd = open("/nonexistent/dictionary", O_RDONLY);
  void* words = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0);  // EXPECT: fd-unchecked-error
  return scratch != MAP_FAILED && words == MAP_FAILED ? 0 : 1;
}

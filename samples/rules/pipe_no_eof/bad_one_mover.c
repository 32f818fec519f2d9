// One function moves bytes either way, for one caller: compiled to jumps, its write and its read come
// back to the same place with the same stack. It is the read that waits.
// HANGS
#include <unistd.h>

__attribute__((noinline)) static ssize_t Move(int fd, char* bytes, size_t count, int out) {
  if (out) return write(fd, bytes, count);
  return read(fd, bytes, count);  // EXPECT: pipe-no-eof
}

int main(void) {
  int ends[2];
  char bytes[] = "all of it";
  ssize_t moved = 1;
  if (pipe(ends) != 0) return 1;
  for (int turn = 0; moved > 0; ++turn) {
    moved = Move(ends[turn == 0], bytes, sizeof(bytes), turn == 0);
  }
  return 0;
}

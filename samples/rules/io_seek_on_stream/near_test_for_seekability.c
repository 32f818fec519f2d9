// lseek(fd, 0, SEEK_CUR) is how one asks whether a descriptor has a position at all.
// EXPECT: clean
// STRICT
#include <errno.h>
#include <unistd.h>

static int can_seek(int fd) { return lseek(fd, 0, SEEK_CUR) >= 0; }

int main(void) {
  int ends[2];
  pipe(ends);
  int wrong = can_seek(ends[0]) || errno != ESPIPE;
  close(ends[0]);
  close(ends[1]);
  return wrong;
}

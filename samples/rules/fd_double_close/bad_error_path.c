// The clean-up at the end closes what was closed on the way.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int copy(const char *from, const char *to) {
  char block[64];
  ssize_t got;
  int status = -1;
  int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (in < 0 || out < 0) goto done;
  while ((got = read(in, block, sizeof(block))) > 0) write(out, block, (size_t)got);
  status = close(out);
done:
  close(in);
  close(out);  // EXPECT: fd-double-close
  return status;
}

int main(void) {
  int status = copy("/proc/self/comm", "copy");
  unlink("copy");
  return status;
}

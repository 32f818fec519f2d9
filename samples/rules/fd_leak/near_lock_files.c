// EXPECT: clean
// A lock is held as long as the file is open: these are held to the end of the process.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static void lock(int number) {
  char path[] = "/tmp/ipctrace_lockXXXXXX";
  int fd = mkstemp(path);
  if (fd < 0) exit(1);
  unlink(path);
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (number % 2 == 0 ? flock(fd, LOCK_EX) != 0 : fcntl(fd, F_SETLK, &whole) != 0) exit(1);
}

int main(void) {
  for (int i = 0; i < 10; ++i) lock(i);
  puts("all are mine");
  return 0;
}

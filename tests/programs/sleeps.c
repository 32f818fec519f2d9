// Closes a descriptor twice, says so, and sleeps until somebody ends it.
#include <fcntl.h>
#include <unistd.h>

int main(void) {
  int fd = open("/dev/null", O_WRONLY);
  close(fd);
  close(fd);
  write(STDOUT_FILENO, "asleep\n", 7);
  for (;;) sleep(1);
}

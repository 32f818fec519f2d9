// fclose has closed the descriptor already.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  char line[32];
  int fd = open("/proc/self/comm", O_RDONLY);
  FILE *file = fdopen(fd, "r");
  fgets(line, sizeof(line), file);
  fclose(file);
  close(fd);  // EXPECT: fd-double-close
  return 0;
}

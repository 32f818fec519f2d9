// Ends as its argument says: a number by exit, a negative one by that signal. Before that it closes
// a descriptor twice, so that there is something to report.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int how = argc > 1 ? atoi(argv[1]) : 0;
  int fd = open("/dev/null", O_WRONLY);
  close(fd);
  close(fd);
  if (how < 0) raise(-how);
  return how;
}

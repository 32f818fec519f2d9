// The log is open while system() runs a command.
// SAYS: fcntl(fd, F_SETFD, FD_CLOEXEC)
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
  int log = open("log", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  write(log, "before\n", 7);
  int status = system("true");  // EXPECT: fd-exec-leak
  write(log, "after\n", 6);
  close(log);
  unlink("log");
  return status == 0 ? 0 : 1;
}

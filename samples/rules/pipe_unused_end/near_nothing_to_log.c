// All workers have the log's write end to report what goes wrong. With the last one nothing does.
// EXPECT: clean
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int log[2];
  char line[64];
  pipe(log);
  for (int i = 0; i < 3; i++) {
    if (fork() == 0) {
      close(log[0]);
      if (i < 2) dprintf(log[1], "worker %d: too small\n", i);
      dprintf(STDOUT_FILENO, "worker %d is done\n", i);
      _exit(0);
    }
  }
  close(log[1]);
  while (read(log[0], line, sizeof(line)) > 0) {
  }
  close(log[0]);
  while (wait(NULL) > 0) {
  }
  return 0;
}

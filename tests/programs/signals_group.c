// Makes a mistake, and then what its argument says:
//   SIGNAL          sends this signal to its process group
//   SIGNAL child    a child sends it
//   job             says how it stands to the terminal, and copies lines until end-of-file
//   stubborn        the same, and no ^Z stops it
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  char line[100];
  int fd = open("/dev/null", O_WRONLY);
  close(fd);
  close(fd);
  setvbuf(stdout, NULL, _IONBF, 0);
  if (strcmp(argv[1], "job") == 0 || strcmp(argv[1], "stubborn") == 0) {
    if (argv[1][0] == 's') signal(SIGTSTP, SIG_IGN);
    printf("pid %d, foreground %d, own session %d\n", getpid(), tcgetpgrp(0) == getpgrp(),
           getsid(0) == getpid());
    while (fgets(line, sizeof(line), stdin) != NULL) printf("copied %s", line);
    return 5;
  }
  if (argc > 2 && fork() == 0) {
    kill(0, atoi(argv[1]));
    _exit(0);
  }
  if (argc > 2) {
    wait(NULL);
  } else {
    kill(0, atoi(argv[1]));
  }
  sleep(1);
  return 3;
}

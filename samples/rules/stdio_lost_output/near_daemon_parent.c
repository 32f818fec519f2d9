// The first process of a daemon leaves by _exit; its child goes on and writes out what both had in
// their buffers. Once is enough.
// EXPECT: clean
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
  FILE *log = fopen("daemon.log", "w");
  fprintf(log, "starting\n");
  pid_t pid = fork();
  if (pid > 0) _exit(0);
  setsid();
  fprintf(log, "running\n");
  fclose(log);
  exit(0);
}

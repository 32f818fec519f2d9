// So many children, each with a pipe of its own, through which it sends so many bytes to itself.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int children = atoi(argv[1]), failed = 0, status;
  for (int i = 0; i < children; ++i) {
    pid_t child = fork();
    if (child < 0) return 3;
    if (child == 0) {
      int ends[2];
      char byte = 'x';
      if (pipe(ends) != 0) _exit(1);
      for (long left = atol(argv[2]); left > 0; --left)
        if (write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1) _exit(1);
      close(ends[0]);
      close(ends[1]);
      _exit(0);
    }
  }
  while (wait(&status) > 0) failed += status != 0;
  return failed != 0;
}

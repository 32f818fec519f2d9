// All is written at once, and counted by the 3000 bytes: the kernel hands it over as it likes.
// EXPECT: clean
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  const size_t size = 600000;
  int ends[2];
  char part[3000];
  long total = 0;
  ssize_t got;
  pipe(ends);
  if (fork() == 0) {
    close(ends[0]);
    char *all = calloc(1, size);
    write(ends[1], all, size);
    free(all);
    close(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  while ((got = read(ends[0], part, sizeof(part))) > 0) total += got;
  close(ends[0]);
  wait(NULL);
  printf("%ld bytes\n", total);
  return 0;
}

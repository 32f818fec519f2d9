// The writer announces three records and writes two.
// OPTIONS: --protocol=counted-records
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int ends[2];
  if (pipe(ends) != 0) return 1;
  if (fork() == 0) {
    close(ends[0]);
    dprintf(ends[1], "3\n");
    dprintf(ends[1], "one\ntwo\n");  // EXPECT: protocol-incomplete
    exit(0);
  }
  close(ends[1]);
  char line[64];
  FILE *in = fdopen(ends[0], "r");
  while (fgets(line, sizeof(line), in) != NULL) {
  }
  fclose(in);
  wait(NULL);
  return 0;
}

// As many records as were announced, through stdio's buffer and exit.
// OPTIONS: --protocol=counted-records
// EXPECT: clean
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int ends[2];
  if (pipe(ends) != 0) return 1;
  if (fork() == 0) {
    close(ends[0]);
    FILE *out = fdopen(ends[1], "w");
    fprintf(out, "%d\n", 3);
    fprintf(out, "one\ntwo\n");
    fprintf(out, "%s\n", "and a third one, which is longer");
    exit(0);
  }
  close(ends[1]);
  char line[64];
  FILE *in = fdopen(ends[0], "r");
  while (fgets(line, sizeof(line), in) != NULL) printf("%s", line);
  fclose(in);
  wait(NULL);
  return 0;
}

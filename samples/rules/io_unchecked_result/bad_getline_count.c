// getline returns -1 at end-of-file, and no error with it.
// SAYS: that is what getline on fd 3 had returned at end-of-file
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
  char *line = NULL;
  size_t room = 0;
  FILE *file = fopen("/dev/null", "r");
  if (file == NULL) return 1;
  ssize_t length = getline(&line, &room, file);
  write(STDOUT_FILENO, line, length);  // EXPECT: io-unchecked-result
  free(line);
  fclose(file);
  return 0;
}

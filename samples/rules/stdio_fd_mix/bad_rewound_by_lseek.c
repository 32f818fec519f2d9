// The file is to be read again from its beginning, but only the descriptor goes back: the stream
// still hands out the rest of its buffer.
#include <stdio.h>
#include <unistd.h>

int main(void) {
  char line[32];
  FILE *file = fopen("lines", "w+");
  for (int i = 0; i < 5; i++) fprintf(file, "line %d\n", i);
  fclose(file);
  file = fopen("lines", "r");
  fgets(line, sizeof(line), file);
  lseek(fileno(file), 0, SEEK_SET);  // EXPECT: stdio-fd-mix
  fgets(line, sizeof(line), file);
  fclose(file);
  unlink("lines");
  return 0;
}

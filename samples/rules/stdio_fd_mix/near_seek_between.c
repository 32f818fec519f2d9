// Between the stream and the descriptor, fflush and fseek bring the two to the same place.
// EXPECT: clean
#include <stdio.h>
#include <unistd.h>

int main(void) {
  char word[6];
  FILE *file = fopen("words", "w+");
  fputs("alpha ", file);
  fflush(file);
  write(fileno(file), "beta  ", 6);
  fseek(file, 0, SEEK_SET);
  fread(word, 1, 6, file);
  fseek(file, 6, SEEK_SET);  // gives the read-ahead back
  fflush(file);
  ssize_t got = read(fileno(file), word, 6);
  fclose(file);
  unlink("words");
  return got == 6 && word[0] == 'b' ? 0 : 1;
}

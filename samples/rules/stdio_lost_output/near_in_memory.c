// EXPECT: clean
// What a stream in memory holds has nowhere to go. libc leaves the number of such a stream unset: the
// block that it gets held ones before.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  char* text = NULL;
  size_t size = 0;
  void* blocks[32];
  for (int i = 0; i < 32; ++i) {
    blocks[i] = malloc(1024);
    if (blocks[i] == NULL) return 1;
    for (int j = 0; j < 256; ++j) ((int*)blocks[i])[j] = 1;
  }
  for (int i = 0; i < 32; ++i) free(blocks[i]);
  FILE* memory = open_memstream(&text, &size);
  if (memory == NULL) return 1;
  fprintf(memory, "%d and %d\n", 1, 2);
  fflush(memory);
  if (write(1, text, size) < 0) return 1;
  fprintf(memory, "not needed any more");
  _exit(0);
}

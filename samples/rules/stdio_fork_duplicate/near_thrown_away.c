// EXPECT: clean
// The child throws away its copy of what waited. A stream in memory has no descriptor: what both
// processes wrote into theirs is in each one's own memory.
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  char* text = NULL;
  size_t size = 0;
  FILE* memory = open_memstream(&text, &size);
  if (memory == NULL) return 1;
  printf("only once\n");
  fprintf(memory, "both have this: ");
  pid_t child = fork();
  if (child == 0) __fpurge(stdout);
  fprintf(memory, child == 0 ? "child\n" : "parent\n");
  fclose(memory);
  fputs(text, stdout);
  free(text);
  if (child == 0) exit(0);
  waitpid(child, NULL, 0);
  return 0;
}

// Descriptors from one place pile up, but all stay in use: a cache of open files.
// EXPECT: clean
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { FILES = 6 };

static int cache[FILES];

static int get(int i) {
  char name[16];
  if (cache[i] == 0) {
    snprintf(name, sizeof(name), "part%d", i);
    cache[i] = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    unlink(name);
  }
  return cache[i];
}

int main(void) {
  for (int round = 0; round < 3; round++)
    for (int i = 0; i < FILES; i++) write(get(i), "x", 1);
  for (int i = 0; i < FILES; i++) close(cache[i]);
  return 0;
}

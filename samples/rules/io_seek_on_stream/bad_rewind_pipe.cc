// The stream over a pipe is rewound to be read twice.
#include <unistd.h>

#include <cstdio>

int main() {
  int ends[2];
  char line[32];
  pipe(ends);
  write(ends[1], "once\n", 5);
  close(ends[1]);
  FILE* in = fdopen(ends[0], "r");
  fgets(line, sizeof(line), in);
  if (fseek(in, 0, SEEK_SET) != 0) perror("fseek");  // EXPECT: io-seek-on-stream
  fclose(in);
}

// The number was given out again between close and fclose: fclose closes somebody else's file. What
// that one's user meets later is part of the same finding.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  char line[64];
  FILE* table = fopen("/etc/passwd", "r");
  if (table == NULL || fgets(line, sizeof(line), table) == NULL) return 1;
  close(fileno(table));
  int sink = open("/dev/null", O_WRONLY);
  fclose(table);  // EXPECT: stdio-close-mismatch
  return write(sink, "x", 1) == 1 ? 1 : 0;
}

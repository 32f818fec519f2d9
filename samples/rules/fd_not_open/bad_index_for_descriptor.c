// The place in the table is passed where the descriptor in it was meant.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { LOGS = 6 };

static int logs[LOGS];

static void note(int log, const char *text, size_t length) {
  if (write(log, text, length) < 0)  // EXPECT: fd-not-open
    perror("write");
}

int main(void) {
  for (int i = 0; i < LOGS; i++) logs[i] = 1;
  logs[5] = open("/dev/null", O_WRONLY);
  note(logs[5], "first\n", 6);
  note(5, "second\n", 7);
  close(logs[5]);
  return 0;
}

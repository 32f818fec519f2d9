// Standard output is put aside, and put back; the copy it was kept in is forgotten.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void silently(const char* text) {
  fflush(stdout);
  int saved = dup(STDOUT_FILENO);  // EXPECT: fd-leak
  int nowhere = open("/dev/null", O_WRONLY);
  dup2(nowhere, STDOUT_FILENO);
  close(nowhere);
  puts(text);
  fflush(stdout);
  dup2(saved, STDOUT_FILENO);
}

int main(void) {
  for (int i = 0; i < 4; i++) silently("nobody hears this");
  puts("and this is heard");
  return 0;
}

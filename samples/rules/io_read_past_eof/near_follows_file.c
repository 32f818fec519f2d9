// A file that is being followed: at its end the reader sleeps, and then looks again.
// EXPECT: clean
#include <fcntl.h>
#include <unistd.h>

int main(void) {
  char buffer[64];
  int ends = 0;
  int out = open("growing", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  write(out, "first\n", 6);
  close(out);
  int in = open("growing", O_RDONLY);
  while (ends < 6) {
    if (read(in, buffer, sizeof(buffer)) == 0) {
      ends++;
      usleep(2000);
    }
  }
  close(in);
  unlink("growing");
  return 0;
}

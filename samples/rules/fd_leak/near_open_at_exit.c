// Two files stay open until the program ends: worth a note, no more.
#include <fcntl.h>
#include <unistd.h>

int main(void) {
  char byte;
  int in = open("/dev/zero", O_RDONLY);   // EXPECT-NOTE: fd-leak
  int out = open("/dev/null", O_WRONLY);  // EXPECT-NOTE: fd-leak
  for (int i = 0; i < 10; i++) {
    read(in, &byte, 1);
    write(out, &byte, 1);
  }
  return 0;
}

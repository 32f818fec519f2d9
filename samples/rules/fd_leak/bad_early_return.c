// The function has two ways out, and only one of them closes the file.
#include <fcntl.h>
#include <unistd.h>

static int first_byte_is(const char *path, char wanted) {
  char c;
  int fd = open(path, O_RDONLY);  // EXPECT: fd-leak
  if (fd < 0) return -1;
  if (read(fd, &c, 1) != 1) return 0;
  if (c != wanted) return 0;
  close(fd);
  return 1;
}

int main(void) {
  int found = 0;
  for (int i = 0; i < 6; i++) found += first_byte_is("/dev/zero", 'x');
  return found;
}

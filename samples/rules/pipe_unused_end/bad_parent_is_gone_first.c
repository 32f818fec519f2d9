// The parent has ended before its child does anything at all: the child's mistake is seen all the same.
#include <unistd.h>

int main(void) {
  int fd[2];
  char word[8];
  if (pipe(fd) != 0) return 1;
  pid_t child = fork();  // EXPECT: pipe-unused-end
  if (child == 0) {
    read(fd[0], word, sizeof(word));
    return 0;  // and fd[1] was never closed
  }
  close(fd[0]);
  write(fd[1], "word", 4);
  return 0;
}

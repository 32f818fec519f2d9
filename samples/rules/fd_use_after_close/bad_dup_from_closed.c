// Standard output is to be restored from a copy that was closed too early.
#include <stdio.h>
#include <unistd.h>

int main(void) {
  int saved = dup(STDOUT_FILENO);
  int fd[2];
  pipe(fd);
  dup2(fd[1], STDOUT_FILENO);
  close(fd[1]);
  write(STDOUT_FILENO, "captured", 8);
  close(saved);
  if (dup2(saved, STDOUT_FILENO) < 0)  // EXPECT: fd-use-after-close
    perror("dup2");
  char text[8];
  read(fd[0], text, sizeof(text));
  close(fd[0]);
  return 0;
}

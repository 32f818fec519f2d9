// The child reads one message and leaves; it never closed the write end. Had it read to
// end-of-file, it would hang.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  char text[32];
  pipe(fd);
  pid_t child = fork();  // EXPECT: pipe-unused-end
  if (child == 0) {
    ssize_t got = read(fd[0], text, sizeof(text));
    printf("%.*s\n", (int)got, text);
    exit(0);
  }
  close(fd[0]);
  write(fd[1], "one message", 11);
  close(fd[1]);
  waitpid(child, NULL, 0);
  return 0;
}

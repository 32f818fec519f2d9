// The child leaves by _exit with a copy of what its parent had printed. The parent's copy is the
// one that counts, and the parent writes it.
// EXPECT: clean
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  printf("header\n");
  pid_t pid = fork();
  if (pid == 0) {
    write(STDERR_FILENO, "child\n", 6);
    _exit(0);
  }
  waitpid(pid, NULL, 0);
  printf("footer\n");
  return 0;
}

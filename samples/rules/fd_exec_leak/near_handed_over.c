// Descriptor 9 is put there for the command, which uses it; everything else is close-on-exec.
// EXPECT: clean
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  char text[16];
  pipe2(fd, O_CLOEXEC);
  pid_t child = fork();
  if (child == 0) {
    dup2(fd[1], 9);
    execl("/bin/sh", "sh", "-c", "echo through nine >&9", (char *)NULL);
    _exit(127);
  }
  close(fd[1]);
  while (read(fd[0], text, sizeof(text)) > 0) {
  }
  close(fd[0]);
  waitpid(child, NULL, 0);
  return 0;
}

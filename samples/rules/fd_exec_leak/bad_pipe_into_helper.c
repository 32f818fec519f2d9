// The helper inherits both ends of a pipe that is none of its business.
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  char byte;
  pipe(fd);
  write(fd[1], "x", 1);
  pid_t helper = fork();  // EXPECT: fd-exec-leak
  if (helper == 0) {
    execlp("true", "true", (char *)NULL);
    _exit(127);
  }
  waitpid(helper, NULL, 0);
  read(fd[0], &byte, 1);
  close(fd[0]);
  close(fd[1]);
  return 0;
}

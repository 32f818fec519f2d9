// As in `yes | head`: a program that writes to the standard output it was given, until the reader
// has seen enough. That is how pipelines end.
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int yes(void) {
  for (;;) write(STDOUT_FILENO, "y\n", 2);  // EXPECT-NOTE: pipe-broken
}

int main(int argc, char **argv) {
  int fd[2];
  char text[20];
  (void)argv;
  if (argc > 1) return yes();

  pipe(fd);
  pid_t writer = fork();
  if (writer == 0) {
    dup2(fd[1], STDOUT_FILENO);
    close(fd[0]);
    close(fd[1]);
    execl("/proc/self/exe", "yes", "yes", (char *)NULL);
    _exit(127);
  }
  close(fd[1]);
  read(fd[0], text, sizeof(text));
  close(fd[0]);
  waitpid(writer, NULL, 0);
  return 0;
}

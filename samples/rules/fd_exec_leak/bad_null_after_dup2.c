// The output goes to /dev/null by dup2, and the descriptor that was opened for it goes along unused.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  if (fork() == 0) {
    int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    execlp("true", "true", (char *)NULL);  // EXPECT: fd-exec-leak
    _exit(127);
  }
  wait(NULL);
  return 0;
}

// As make does with its job server: the process waits for a token on a pipe of which it has both
// ends itself. What wakes it may as well be the end of a child.
// EXPECT: clean
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

static void child_ended(int signal) { (void)signal; }

int main(void) {
  int tokens[2];
  char token = '+';
  sigset_t chld, before;
  struct sigaction action = {.sa_handler = child_ended, .sa_flags = SA_RESTART};
  pipe(tokens);
  if (write(tokens[1], &token, 1) != 1 || read(tokens[0], &token, 1) != 1) return 1;
  sigaction(SIGCHLD, &action, NULL);
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  sigprocmask(SIG_BLOCK, &chld, &before);
  if (fork() == 0) {
    close(tokens[0]);
    close(tokens[1]);
    usleep(500000);  // works
    _exit(0);
  }
  fd_set readable;
  FD_ZERO(&readable);
  FD_SET(tokens[0], &readable);
  int ready = pselect(tokens[0] + 1, &readable, NULL, NULL, NULL, &before);
  if (ready != -1 || errno != EINTR) return 1;
  waitpid(-1, NULL, 0);
  if (write(tokens[1], &token, 1) != 1 || read(tokens[0], &token, 1) != 1) return 1;
  close(tokens[0]);
  close(tokens[1]);
  return 0;
}

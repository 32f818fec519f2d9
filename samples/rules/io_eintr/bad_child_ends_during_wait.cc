// The end of one child interrupts waiting for the other, which is then not waited for.
#include <sys/types.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>

static pid_t Start(int milliseconds) {
  pid_t pid = fork();
  if (pid == 0) {
    usleep(milliseconds * 1000);
    _exit(0);
  }
  return pid;
}

int main() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(SIGCHLD, &action, nullptr);
  pid_t slow = Start(300);
  Start(100);
  if (waitpid(slow, nullptr, 0) < 0) perror("waitpid");  // EXPECT: io-eintr
}

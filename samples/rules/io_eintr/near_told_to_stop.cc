// SIGTERM breaks off the read, and the program ends: that is what it is for.
// EXPECT: clean
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

int main() {
  struct sigaction action {};
  action.sa_handler = [](int) { stop = 1; };
  sigaction(SIGTERM, &action, nullptr);
  int ends[2];
  pipe(ends);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    write(ends[1], "work", 4);
    usleep(100000);
    kill(getppid(), SIGTERM);
    usleep(100000);
    close(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  char work[16];
  while (!stop && read(ends[0], work, sizeof(work)) > 0) {
  }
  close(ends[0]);
  waitpid(pid, nullptr, 0);
}

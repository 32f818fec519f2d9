// SA_NOCLDWAIT: the kernel keeps no zombies.
// EXPECT: clean
#include <signal.h>
#include <unistd.h>

int main(void) {
  struct sigaction action = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
  sigaction(SIGCHLD, &action, NULL);
  if (fork() == 0) _exit(0);
  for (int i = 0; i < 8; i++) usleep(100000);
  return 0;
}

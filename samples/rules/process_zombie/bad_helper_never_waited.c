// A helper is started and forgotten; the parent goes on with its own work.
#include <stdlib.h>
#include <unistd.h>

int main(void) {
  pid_t helper = fork();  // EXPECT: process-zombie
  if (helper == 0) _exit(0);
  for (int i = 0; i < 8; i++) usleep(100000);
  return 0;
}

// Two workers report through a stream of their own and leave by _exit: their lines stay in the
// buffer.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

static void Work(int number) {
  char name[32];
  snprintf(name, sizeof(name), "worker%d.log", number);
  FILE* log = fopen(name, "w");
  fprintf(log, "worker %d has done its part\n", number);
  _exit(0);  // EXPECT: stdio-lost-output
}

int main() {
  for (int i = 0; i < 2; ++i) {
    if (fork() == 0) Work(i);
  }
  while (wait(nullptr) > 0) {
  }
}

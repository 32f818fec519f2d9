// A log file with an unwritten line is inherited by three workers; each writes the line out when
// it exits.
// SAYS: came out 4 times
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

int main() {
  FILE* log = fopen("workers.log", "w");
  if (log == nullptr) return 1;
  fprintf(log, "starting workers\n");
  for (int i = 0; i < 3; ++i) {
    if (fork() == 0) {  // EXPECT: stdio-fork-duplicate
      fprintf(log, "worker %d\n", i);
      exit(0);
    }
  }
  while (wait(nullptr) > 0) {
  }
  fclose(log);
}

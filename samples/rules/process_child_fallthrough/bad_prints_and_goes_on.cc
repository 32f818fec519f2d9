// All that the child does of its own is to print into a buffer; then it forks like its parent.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

int main() {
  for (int i = 0; i < 3; ++i) {
    fflush(stdout);
    pid_t pid = fork();  // EXPECT: process-child-fallthrough
    if (pid == 0) printf("worker %d\n", i);
  }
  while (wait(nullptr) > 0) {
  }
}

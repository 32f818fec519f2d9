// The child sends its own output elsewhere; but freopen first writes out what came over by fork.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  printf("report of today\n");
  switch (fork()) {  // EXPECT: stdio-fork-duplicate
    case -1:
      return 1;
    case 0:
      if (freopen("/dev/null", "w", stdout) == NULL) _exit(1);
      printf("noise\n");
      return 0;
  }
  wait(NULL);
  printf("end of the report\n");
  return 0;
}

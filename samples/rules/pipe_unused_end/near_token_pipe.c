// A pipe as a jar of tokens: every process takes one out and puts it back, so each uses both ends.
// EXPECT: clean
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS = 4, TOKENS = 2 };

int main(void) {
  int jar[2];
  pipe(jar);
  for (int i = 0; i < TOKENS; i++) write(jar[1], "+", 1);
  for (int i = 0; i < JOBS; i++) {
    if (fork() == 0) {
      char token;
      read(jar[0], &token, 1);
      usleep(1000);
      write(jar[1], &token, 1);
      exit(0);
    }
  }
  while (wait(NULL) > 0) {
  }
  for (int i = 0; i < TOKENS; i++) {
    char token;
    read(jar[0], &token, 1);
  }
  return 0;
}

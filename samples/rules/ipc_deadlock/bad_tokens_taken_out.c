// A pipe as a jar of tokens. The first job puts its token back; then the parent takes all of them out, to
// be sure that nobody works, and two more jobs wait for one. An end-of-file is not what they want.
// HANGS
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TOKENS = 2 };

static int jar[2];

static void job(void) {
  char token;
  read(jar[0], &token, 1);  // EXPECT: ipc-deadlock
  write(jar[1], &token, 1);
  exit(0);
}

int main(void) {
  char token;
  pipe(jar);
  for (int i = 0; i < TOKENS; i++) write(jar[1], "+", 1);
  if (fork() == 0) job();
  wait(NULL);
  for (int i = 0; i < TOKENS; i++) read(jar[0], &token, 1);
  for (int i = 0; i < 2; i++) {
    if (fork() == 0) job();
  }
  while (wait(NULL) > 0) {
  }
  return 0;
}

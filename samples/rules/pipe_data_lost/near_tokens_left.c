// A jar of tokens: whoever goes last leaves them in it.
// EXPECT: clean
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int jar[2];
  char token;
  pipe(jar);
  write(jar[1], "++", 2);
  for (int i = 0; i < 3; i++) {
    if (fork() == 0) {
      read(jar[0], &token, 1);
      usleep(2000);
      write(jar[1], &token, 1);
      exit(0);
    }
  }
  read(jar[0], &token, 1);
  write(jar[1], &token, 1);
  while (wait(NULL) > 0) {
  }
  return 0;
}

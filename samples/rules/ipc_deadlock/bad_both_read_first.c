// Two processes, a pipe each way, and each waits for the other's greeting.
// HANGS
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void talk(int in, int out, const char *greeting) {
  char heard[32];
  read(in, heard, sizeof(heard));  // EXPECT: ipc-deadlock
  write(out, greeting, strlen(greeting));
}

int main(void) {
  int there[2], back[2];
  pipe(there);
  pipe(back);
  if (fork() == 0) {
    close(there[1]);
    close(back[0]);
    talk(there[0], back[1], "hello, parent");
    exit(0);
  }
  close(there[0]);
  close(back[1]);
  talk(back[0], there[1], "hello, child");
  wait(NULL);
  return 0;
}

// The child writes much to one pipe and little to another; the parent reads the other to its end
// first, which comes only when the child is done.
// HANGS
// SAYS: wait with poll for fd 5 and fd 3
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int out[2], err[2];
  char text[512];
  pipe(out);
  pipe(err);
  if (fork() == 0) {
    close(out[0]);
    close(err[0]);
    FILE *to = fdopen(out[1], "w");
    for (int i = 0; i < 20000; i++)
      fprintf(to, "%d\n", i);  // EXPECT: pipe-full-deadlock
    fclose(to);
    write(err[1], "done\n", 5);
    return 0;
  }
  close(out[1]);
  close(err[1]);
  while (read(err[0], text, sizeof(text)) > 0) {
  }
  while (read(out[0], text, sizeof(text)) > 0) {
  }
  wait(NULL);
  return 0;
}

// The child sends a whole file into the pipe by sendfile; the parent waits for its process group
// before it reads.
// HANGS
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

static char contents[300000];

int main(void) {
  int fds[2];
  FILE *file = tmpfile();
  fwrite(contents, 1, sizeof(contents), file);
  fflush(file);
  pipe(fds);
  if (fork() == 0) {
    off_t at = 0;
    close(fds[0]);
    while (at < (off_t)sizeof(contents)) {
      ssize_t sent = sendfile(fds[1], fileno(file), &at, sizeof(contents));  // EXPECT: pipe-full-deadlock
      if (sent <= 0) break;
    }
    _exit(0);
  }
  close(fds[1]);
  while (waitpid(0, NULL, 0) > 0) {
  }
  char buffer[4096];
  while (read(fds[0], buffer, sizeof(buffer)) > 0) {
  }
  return 0;
}

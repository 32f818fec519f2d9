// The reader takes 0 for "nothing yet" and tries again at once.
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int ends[2];
  char buffer[64];
  int tries = 0;
  pipe(ends);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    write(ends[1], "all there is", 12);
    close(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  while (tries < 100) {
    ssize_t got = read(ends[0], buffer, sizeof(buffer));  // EXPECT: io-read-past-eof
    if (got <= 0) tries++;
  }
  close(ends[0]);
  waitpid(pid, NULL, 0);
  return 0;
}

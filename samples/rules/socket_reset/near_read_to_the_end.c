// The server answers before it has read all, but closes only after it has met end-of-file.
// EXPECT: clean
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int ends[2];
  char buffer[256];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    read(ends[1], buffer, 4);
    write(ends[1], "enough\n", 7);
    shutdown(ends[1], SHUT_WR);
    while (read(ends[1], buffer, sizeof(buffer)) > 0) {
    }
    close(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  memset(buffer, 'x', sizeof(buffer));
  write(ends[0], buffer, sizeof(buffer));
  shutdown(ends[0], SHUT_WR);
  while (read(ends[0], buffer, sizeof(buffer)) > 0) {
  }
  close(ends[0]);
  waitpid(pid, NULL, 0);
  return 0;
}

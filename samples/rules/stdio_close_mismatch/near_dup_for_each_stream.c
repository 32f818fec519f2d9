// Two streams over one connection, each with a descriptor of its own.
// EXPECT: clean
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int ends[2];
  char line[32];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    FILE *in = fdopen(ends[1], "r");
    FILE *out = fdopen(dup(ends[1]), "w");
    if (fgets(line, sizeof(line), in) != NULL) fputs(line, out);
    fclose(out);
    fclose(in);
    _exit(0);
  }
  close(ends[1]);
  write(ends[0], "ping\n", 5);
  read(ends[0], line, sizeof(line));
  close(ends[0]);
  waitpid(pid, NULL, 0);
  return 0;
}

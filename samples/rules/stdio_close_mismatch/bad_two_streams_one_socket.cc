// One stream to read from the connection and one to write to it, both over the same descriptor:
// the second fclose finds it closed.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

static void Serve(int fd) {
  FILE* in = fdopen(fd, "r");
  FILE* out = fdopen(fd, "w");
  char line[64];
  while (fgets(line, sizeof(line), in) != nullptr) {
    fprintf(out, "you said: %s", line);
    fflush(out);
  }
  fclose(out);
  fclose(in);  // EXPECT: stdio-close-mismatch
}

int main() {
  int ends[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  if (fork() == 0) {
    close(ends[0]);
    Serve(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  char answer[64];
  write(ends[0], "hello\n", 6);
  read(ends[0], answer, sizeof(answer));
  close(ends[0]);
  wait(nullptr);
}

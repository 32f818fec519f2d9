// Two processes open two FIFOs, each first the one that it reads. Each open waits for a writer, who
// is in the other one's next line.
// HANGS
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  char byte = 'x';
  if (mkfifo("requests", 0600) != 0 || mkfifo("answers", 0600) != 0) return 1;
  if (fork() == 0) {
    int in = open("requests", O_RDONLY);
    int out = open("answers", O_WRONLY);
    read(in, &byte, 1);
    write(out, &byte, 1);
    _exit(0);
  }
  int in = open("./answers", O_RDONLY);  // EXPECT: ipc-deadlock
  int out = open("./requests", O_WRONLY);
  write(out, &byte, 1);
  read(in, &byte, 1);
  wait(NULL);
  return 0;
}

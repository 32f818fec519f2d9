// The reader opened the FIFO for writing too, so as not to wait for the writer. Now it is a writer
// itself, and no end-of-file comes when the other one has gone.
// HANGS
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  if (mkfifo("numbers", 0600) != 0) return 1;
  if (fork() == 0) {
    int out = open("numbers", O_WRONLY);
    write(out, "1 2 3\n", 6);
    close(out);
    _exit(0);
  }
  int in = open("numbers", O_RDWR);
  char text[64];
  ssize_t got, total = 0;
  while ((got = read(in, text, sizeof(text))) > 0)  // EXPECT: pipe-no-eof
    total += got;
  printf("%zd bytes\n", total);
  close(in);
  wait(NULL);
  return 0;
}

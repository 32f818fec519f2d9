// Two children, a producer and a consumer. The parent closed its ends; the consumer did not close
// the write end it inherited, and waits for itself.
// HANGS
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void produce(int out) {
  for (char c = 'a'; c <= 'z'; c++) write(out, &c, 1);
  close(out);
}

static void consume(int in) {
  char c;
  while (read(in, &c, 1) == 1) {  // EXPECT: pipe-no-eof
  }
  close(in);
}

int main(void) {
  int channel[2];
  if (pipe(channel) != 0) return 1;
  if (fork() == 0) {
    close(channel[0]);
    produce(channel[1]);
    exit(0);
  }
  if (fork() == 0) {
    consume(channel[0]);
    exit(0);
  }
  close(channel[0]);
  close(channel[1]);
  while (wait(NULL) > 0) {
  }
  return 0;
}

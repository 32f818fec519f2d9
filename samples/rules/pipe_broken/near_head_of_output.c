// The reader leaves early by agreement: it says so on another pipe, and the writer stops.
// EXPECT: clean
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int data[2], stop[2];
  char byte;
  pipe(data);
  pipe(stop);
  pid_t reader = fork();
  if (reader == 0) {
    close(data[1]);
    close(stop[0]);
    for (int i = 0; i < 10; i++) read(data[0], &byte, 1);
    write(stop[1], "s", 1);
    while (read(data[0], &byte, 1) == 1) {  // what was on its way
    }
    exit(0);
  }
  close(data[0]);
  close(stop[1]);
  struct pollfd wish = {.fd = stop[0], .events = POLLIN};
  while (poll(&wish, 1, 0) == 0) write(data[1], "d", 1);
  read(stop[0], &byte, 1);
  close(data[1]);
  close(stop[0]);
  waitpid(reader, NULL, 0);
  return 0;
}

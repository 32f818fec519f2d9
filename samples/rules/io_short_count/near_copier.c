// A copier's buffer happens to be as long as a line. What comes in pieces it hands on in pieces.
// EXPECT: clean
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int lines[2];
  char piece[10];
  ssize_t got;
  pipe(lines);
  if (fork() == 0) {
    close(lines[0]);
    write(lines[1], "line 0000\n", 10);
    usleep(20000);
    write(lines[1], "line ", 5);
    usleep(50000);
    write(lines[1], "0001\n", 5);
    usleep(20000);
    write(lines[1], "line 0002\n", 10);
    close(lines[1]);
    _exit(0);
  }
  close(lines[1]);
  while ((got = read(lines[0], piece, sizeof(piece))) > 0) write(STDOUT_FILENO, piece, (size_t)got);
  close(lines[0]);
  wait(NULL);
  return 0;
}

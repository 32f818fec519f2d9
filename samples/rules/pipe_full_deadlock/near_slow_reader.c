// The writer blocks on a full pipe again and again, but its reader only takes its time.
// EXPECT: clean
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int fd[2];
  static char block[20000];
  pipe(fd);
  if (fork() == 0) {
    close(fd[0]);
    memset(block, 'b', sizeof(block));
    for (int i = 0; i < 10; i++) write(fd[1], block, sizeof(block));
    exit(0);
  }
  close(fd[1]);
  usleep(300000);
  while (read(fd[0], block, sizeof(block)) > 0) usleep(2000);
  close(fd[0]);
  wait(NULL);
  return 0;
}

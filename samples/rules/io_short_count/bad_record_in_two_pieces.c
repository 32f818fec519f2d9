// A record arrives in two pieces, and the reader takes each read for a whole record.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

struct record {
  int id, a, b, c, sum;
};

static void send_pieces(int fd) {
  struct record record = {1, 2, 3, 4, 9};
  write(fd, &record, sizeof(record));
  usleep(30000);
  record.id = 2;
  write(fd, &record, 8);
  usleep(30000);
  write(fd, (char *)&record + 8, sizeof(record) - 8);
  usleep(30000);
  record.id = 3;
  write(fd, &record, sizeof(record));
}

int main(void) {
  int ends[2];
  struct record record;
  pipe(ends);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    send_pieces(ends[1]);
    close(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  while (read(ends[0], &record, sizeof(record)) > 0)  // EXPECT: io-short-count
    fprintf(stderr, "record %d\n", record.id);
  close(ends[0]);
  waitpid(pid, NULL, 0);
  return 0;
}

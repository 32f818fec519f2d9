// The consumer stops at a marker and exits, though more records follow it.
#include <sys/wait.h>
#include <unistd.h>

#include <array>

struct Record {
  int kind;
  int value;
};

static int Consume(int in) {
  Record record;
  int sum = 0;
  while (read(in, &record, sizeof(record)) == sizeof(record)) {
    if (record.kind < 0) break;
    sum += record.value;
  }
  return sum;
}

int main() {
  int fd[2];
  if (pipe(fd) != 0) return 1;
  const std::array<Record, 4> records = {{{1, 10}, {-1, 0}, {1, 20}, {1, 30}}};
  write(fd[1], records.data(), sizeof(records));
  const pid_t pid = fork();
  if (pid == 0) {
    close(fd[1]);
    _exit(Consume(fd[0]));  // EXPECT: pipe-data-lost
  }
  close(fd[0]);
  close(fd[1]);
  int status;
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status) == 10 ? 0 : 1;
}

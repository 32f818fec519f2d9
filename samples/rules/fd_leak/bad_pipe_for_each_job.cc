// A pipe for each job's answer; the end that was read from is never closed.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

static char RunJob(int number) {
  int fd[2];
  if (pipe(fd) != 0) return '?';  // EXPECT: fd-leak
  const pid_t pid = fork();
  if (pid == 0) {
    close(fd[0]);
    const char answer = static_cast<char>('a' + number);
    write(fd[1], &answer, 1);
    close(fd[1]);
    _exit(0);
  }
  close(fd[1]);
  char answer = 0;
  read(fd[0], &answer, 1);
  waitpid(pid, nullptr, 0);
  return answer;
}

int main() {
  for (int i = 0; i < 5; ++i) putchar(RunJob(i));
  putchar('\n');
}

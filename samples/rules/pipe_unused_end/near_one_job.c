// Two equal workers wait for jobs. There is one: the other worker never has a result to write.
// EXPECT: clean
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int jobs[2], results[2], number = 21, sum = 0;
  pipe(jobs);
  pipe(results);
  for (int i = 0; i < 2; i++) {
    if (fork() == 0) {
      close(jobs[1]);
      close(results[0]);
      while (read(jobs[0], &number, sizeof(number)) == sizeof(number)) {
        number *= 2;
        write(results[1], &number, sizeof(number));
      }
      _exit(0);
    }
  }
  close(jobs[0]);
  close(results[1]);
  write(jobs[1], &number, sizeof(number));
  close(jobs[1]);
  while (read(results[0], &number, sizeof(number)) == sizeof(number)) sum += number;
  close(results[0]);
  while (wait(NULL) > 0) {
  }
  printf("%d\n", sum);
  return 0;
}

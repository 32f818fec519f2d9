// A reader takes numbers with fscanf, to the end. One fscanf may need two reads: a number that stands
// at the end of the buffer may go on.
// EXPECT: clean
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int numbers[2];
  if (pipe(numbers) != 0) return 1;
  if (fork() == 0) {
    close(numbers[1]);
    FILE* in = fdopen(numbers[0], "r");
    long number, sum = 0;
    while (fscanf(in, "%ld", &number) == 1) sum += number;
    fclose(in);
    _exit(sum == 500500 ? 0 : 1);
  }
  close(numbers[0]);
  for (int i = 1; i <= 1000; i++) dprintf(numbers[1], "%d\n", i);
  close(numbers[1]);
  int status;
  wait(&status);
  return WEXITSTATUS(status);
}

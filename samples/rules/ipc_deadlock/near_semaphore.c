// Workers sleep at a semaphore in shared memory and the parent reads from them, for a while: then a
// third process, which only counts to some number, lets them go.
// EXPECT: clean
#include <semaphore.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void compute(void) {
  for (time_t end = time(NULL) + 2; time(NULL) < end;) {
  }
}

int main(void) {
  int answers[2], n = 0;
  char byte;
  sem_t *go = mmap(NULL, sizeof(*go), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  sem_init(go, 1, 0);
  pipe(answers);
  for (int i = 0; i < 2; i++) {
    if (fork() == 0) {
      close(answers[0]);
      sem_wait(go);
      write(answers[1], "x", 1);
      _exit(0);
    }
  }
  close(answers[1]);
  if (fork() == 0) {
    close(answers[0]);
    compute();
    sem_post(go);
    sem_post(go);
    _exit(0);
  }
  while (read(answers[0], &byte, 1) == 1) ++n;
  while (wait(NULL) > 0) {
  }
  printf("%d answers\n", n);
  return 0;
}

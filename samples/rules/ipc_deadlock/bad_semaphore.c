// The parent wants the child's answer first and only then tells it, by a semaphore, to begin.
// HANGS
#include <semaphore.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  int answer[2];
  char text[16];
  sem_t *go = mmap(NULL, sizeof(*go), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  sem_init(go, 1, 0);
  pipe(answer);
  pid_t child = fork();
  if (child == 0) {
    close(answer[0]);
    sem_wait(go);
    write(answer[1], "42", 2);
    _exit(0);
  }
  close(answer[1]);
  ssize_t n = read(answer[0], text, sizeof(text));  // EXPECT: ipc-deadlock
  sem_post(go);
  waitpid(child, NULL, 0);
  printf("%.*s\n", (int)n, text);
  return 0;
}

// Makes a system call of its own, without libc.
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c)
                   : "rcx", "r11", "memory");
  return result;
}

static void *ends_at_once(void *nothing) { return nothing; }

int main(int argc, char **argv) {
  int ends[2];
  char text[5];
  pthread_t thread;
  if (argc < 2 || pipe(ends) != 0) return 1;
  if (argc > 2) {  // in a process that has had another thread
    pthread_create(&thread, NULL, ends_at_once, NULL);
    pthread_join(thread, NULL);
  }
  if (strcmp(argv[1], "writes") == 0) {
    call(SYS_write, ends[1], (long)"hello", 5);
    if (read(ends[0], text, sizeof(text)) != sizeof(text)) return 1;
  } else if (strcmp(argv[1], "reads") == 0) {
    write(ends[1], "hello", 5);
    call(SYS_read, ends[0], (long)text, 5);
  } else if (strcmp(argv[1], "opens") == 0) {
    call(SYS_dup, 1, 0, 0);
  } else if (strcmp(argv[1], "closes") == 0) {
    call(SYS_close, ends[1], 0, 0);
    return 0;
  }
  close(ends[0]);
  close(ends[1]);
  puts("done");
  return 0;
}

// Unusual surroundings, one a mode; what is printed must be the same with and without ipctrace.
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *self;

// Pipes and children, as any program may have.
static void work(const char *where) {
  int ends[2];
  char byte = 0;
  if (pipe(ends) != 0) exit(3);
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    write(ends[1], "x", 1);
    _exit(5);
  }
  close(ends[1]);
  int status;
  long got = read(ends[0], &byte, 1);
  waitpid(child, &status, 0);
  close(ends[0]);
  printf("%s: %ld %c %d\n", where, got, byte, WEXITSTATUS(status));
  fflush(stdout);
}

static void run(const char *program, const char *mode) {
  if (fork() == 0) {
    execl(program, program, mode, NULL);
    printf("no exec\n");
    fflush(stdout);
    _exit(1);
  }
  int status;
  wait(&status);
  printf("ended %x\n", status);
  fflush(stdout);
}

// argv[2] is a folder that holds what the program needs, and nothing of ipctrace's.
static void in_chroot(const char *folder) {
  if (chroot(folder) != 0 || chdir("/") != 0) exit(3);
  work("in the cage");
  run("/surroundings", "work");
  setenv("LD_PRELOAD", getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "", 1);
  run("/surroundings", "work");
}

static void unprivileged(void) {
  if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0) exit(3);
  work("as nobody");
  run(self, "work");
}

// Fills the trace, and whatever else is mapped under that name, with `value`.
static int scribble(int value, int all) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[600];
  int found = 0;
  unsigned long from[8], to[8];
  while (fgets(line, sizeof(line), maps) != NULL) {
    if (strstr(line, "/ipctrace-") == NULL || strstr(line, "rw-s") == NULL || found == 8) continue;
    sscanf(line, "%lx-%lx", &from[found], &to[found]);
    found++;
  }
  fclose(maps);
  for (int i = 0; i < found; i++) {
    unsigned long start = all ? from[i] : to[i] - 65536;  // the last part is always in use
    for (unsigned long at = start; at < to[i]; at += 4096) memset((void *)at, value, 4096);
  }
  return found;
}

static void scribbles(int value) {
  work("before");
  scribble(value, 0);
  for (int i = 0; i < 300; i++) {
    int ends[2];
    if (pipe(ends) != 0) exit(3);
    close(ends[0]);
    close(ends[1]);
  }
  work("after");
  run(self, "work");
}

static void maps_over(void) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[600];
  unsigned long from, to;
  unsigned long where[2] = {0, 0};
  while (fgets(line, sizeof(line), maps) != NULL) {
    if (strstr(line, "/ipctrace-") == NULL || strstr(line, "rw-s") == NULL) continue;
    sscanf(line, "%lx-%lx", &from, &to);
    where[0] = from;
    where[1] = to;
  }
  fclose(maps);
  if (where[0] != 0) {
    mmap((void *)where[0], where[1] - where[0], PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  }
  work("on another's ground");
}

static int shares(void *flag) {
  for (int i = 0; i < 20000; i++) {
    int ends[2];
    if (pipe(ends) != 0) _exit(9);
    close(ends[0]);
    close(ends[1]);
  }
  *(volatile int *)flag = 1;
  return 7;
}

// A child on the same memory, thread-local variables included, that runs beside its parent.
static void clone_shares(void) {
  enum { kStack = 65536 };
  int flag = 0, status;
  char *stack = malloc(kStack);
  pid_t child = clone(shares, stack + kStack, CLONE_VM | SIGCHLD, &flag);
  for (int i = 0; i < 20000; i++) {
    int ends[2];
    char byte = 'x';
    if (pipe(ends) != 0) exit(3);
    write(ends[1], &byte, 1);
    read(ends[0], &byte, 1);
    close(ends[0]);
    close(ends[1]);
  }
  waitpid(child, &status, 0);
  printf("%x %d\n", status, flag);
  work("afterwards");
  child = vfork();
  if (child == 0) {
    close(0);
    _exit(4);
  }
  waitpid(child, &status, 0);
  printf("%x\n", status);
}

static void *calls(void *unused) {
  int ends[2];
  char byte = 'x';
  if (pipe(ends) != 0) exit(3);
  for (int i = 0; i < 50000; i++) {
    if (write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1) exit(4);
  }
  close(ends[0]);
  close(ends[1]);
  return NULL;
}

static void threads(void) {
  pthread_t all[64];
  for (int i = 0; i < 64; i++) {
    if (pthread_create(&all[i], NULL, calls, NULL) != 0) exit(3);
  }
  for (int i = 0; i < 64; i++) pthread_join(all[i], NULL);
  printf("64 threads\n");
}

static void processes(void) {
  int good = 0;
  for (int i = 0; i < 2000; i++) {
    pid_t child = fork();
    if (child < 0) exit(3);
    if (child == 0) {
      int ends[2];
      _exit(pipe(ends) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0 ? 7 : 8);
    }
    int status;
    good += waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7;
  }
  printf("%d\n", good);
}

int main(int argc, char **argv) {
  self = realpath("/proc/self/exe", NULL);
  const char *mode = argc > 1 ? argv[1] : "";
  if (strcmp(mode, "work") == 0) work("work");
  if (strcmp(mode, "chroot") == 0) in_chroot(argv[2]);
  if (strcmp(mode, "unprivileged") == 0) unprivileged();
  if (strcmp(mode, "zeros") == 0) scribbles(0);
  if (strcmp(mode, "ones") == 0) scribbles(0xff);
  if (strcmp(mode, "letters") == 0) scribbles('a');
  if (strcmp(mode, "maps-over") == 0) maps_over();
  if (strcmp(mode, "clone-shares") == 0) clone_shares();
  if (strcmp(mode, "threads") == 0) threads();
  if (strcmp(mode, "processes") == 0) processes();
  return 0;
}

// Unusual but right things that programs do, one for each argument. Prints what it sees; the test
// compares that with a run without the tracer.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void say(const char *what, long value) {
  char line[128];
  int length = snprintf(line, sizeof(line), "%s: %ld\n", what, value);
  write(STDOUT_FILENO, line, (size_t)length);
}

static void errno_is_kept(void) {
  errno = 77;
  int fd = open("/dev/null", O_RDWR);
  write(fd, "x", 1);
  close(fd);
  say("errno after successes", errno);
  say("close", close(fd));
  say("errno after close", errno);
  say("read", read(-5, NULL, 0));
  say("errno after read", errno);
}

static void low_numbers_are_free(void) {
  close(0);
  say("open", open("/dev/null", O_RDONLY));
  int fd[2];
  say("pipe", pipe(fd));
  say("read end", fd[0]);
  say("write end", fd[1]);
  say("dup", dup(fd[0]));
}

static void everything_is_closed(void) {
  int out = fcntl(STDOUT_FILENO, F_DUPFD, 700);
  for (int i = 0; i < 512; i++) close(i);
  int fd = open("/dev/null", O_RDONLY);
  dup2(out, 1);
  say("first number", fd);
  closefrom(3);
  say("next number", open("/dev/null", O_RDONLY));
}

static void limit_of_16_descriptors(void) {
  struct rlimit limit = {16, 16};
  setrlimit(RLIMIT_NOFILE, &limit);
  int last = -1, fd;
  while ((fd = open("/dev/null", O_RDONLY)) >= 0) last = fd;
  say("last number", last);
  say("EMFILE", errno == EMFILE);
  say("fork", fork() > 0 ? (wait(NULL), 1) : (_exit(0), 0));
}

static void limit_of_file_size_0(void) {
  struct rlimit limit = {0, 0};
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &limit);
  int fd[2];
  pipe(fd);
  say("write to a pipe", write(fd[1], "abc", 3));
  int file = open("limited", O_RDWR | O_CREAT, 0600);
  say("write to a file", write(file, "abc", 3));
  say("EFBIG", errno == EFBIG);
  if (fork() == 0) _exit(3);
  int status;
  wait(&status);
  say("child", WEXITSTATUS(status));
  for (int i = 0; i < 20000; i++) {  // more records than fit what was there at the start
    write(fd[1], "x", 1);
    char c;
    read(fd[0], &c, 1);
  }
  say("still here", 1);
}

static void little_address_space(void) {
  struct rlimit limit = {256 << 20, 256 << 20};
  setrlimit(RLIMIT_AS, &limit);
  int fd[2];
  if (fork() == 0) {
    execl("/proc/self/exe", "unusual", "errno-is-kept", (char *)NULL);
    _exit(127);
  }
  int status;
  wait(&status);
  say("child", status);
  say("pipe", pipe(fd));
}

static void an_empty_environment(void) {
  clearenv();
  if (fork() == 0) {
    char *none[] = {NULL};
    char *arguments[] = {"unusual", "environment-is", NULL};
    execve("/proc/self/exe", arguments, none);
    _exit(127);
  }
  int status;
  wait(&status);
  say("status", status);
}

static void environment_is(void) {
  int count = 0;
  for (char **e = environ; *e != NULL; e++)
    if (strncmp(*e, "LD_PRELOAD=", 11) != 0 && strncmp(*e, "IPCTRACE_", 9) != 0) count++;
  say("variables", count);
}

static void *blocked_reader(void *fd) {
  char c;
  read(*(int *)fd, &c, 1);
  return NULL;
}

static void cancelled_in_a_read(void) {
  int fd[2];
  void *result;
  pthread_t thread;
  pipe(fd);
  pthread_create(&thread, NULL, blocked_reader, &fd[0]);
  usleep(100000);
  pthread_cancel(thread);
  pthread_join(thread, &result);
  say("cancelled", result == PTHREAD_CANCELED);
}

static int handler_pipe[2];
static volatile sig_atomic_t handled;

static void reads_and_writes(int number) {
  char c;
  int saved = errno;
  write(handler_pipe[1], "h", 1);
  read(handler_pipe[0], &c, 1);
  if (number == SIGALRM) handled = handled + 1;
  errno = saved;
}

static void handlers_that_do_io(void) {
  struct sigaction action = {.sa_handler = reads_and_writes, .sa_flags = SA_RESTART};
  struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
  int fd[2];
  long sum = 0;
  pipe(handler_pipe);
  pipe(fd);
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  for (int i = 0; i < 20000 || handled < 5; i++) {
    char c = 1;
    write(fd[1], &c, 1);
    sum += read(fd[0], &c, 1) - 1;
  }
  setitimer(ITIMER_REAL, &never, NULL);
  say("lost", sum);
}

static sigjmp_buf out;

static void jumps(int number) {
  (void)number;
  siglongjmp(out, 1);
}

static void longjmp_out_of_a_read(void) {
  int fd[2];
  char c;
  volatile int times = 0;
  pipe(fd);
  signal(SIGALRM, jumps);
  for (; times < 5; times++) {
    if (sigsetjmp(out, 1) == 0) {
      ualarm(20000, 0);
      read(fd[0], &c, 1);
    }
  }
  write(fd[1], "x", 1);
  say("times", times);
  say("read", read(fd[0], &c, 1));
}

static void *small_stack(void *fd) {
  char c = 'x';
  int *ends = fd;
  write(ends[1], &c, 1);
  read(ends[0], &c, 1);
  int file = open("/dev/null", O_WRONLY);
  close(file);
  return NULL;
}

static void stacks_of_16_kib(void) {
  pthread_attr_t attributes;
  pthread_t threads[8];
  int fd[2];
  pipe(fd);
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 16384);
  for (int i = 0; i < 8; i++) say("create", pthread_create(&threads[i], &attributes, small_stack, fd));
  for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
}

static void handler_on_a_small_stack(void) {
  static char memory[16384];
  stack_t stack = {.ss_sp = memory, .ss_size = sizeof(memory)};
  struct sigaction action = {.sa_handler = reads_and_writes, .sa_flags = SA_ONSTACK};
  pipe(handler_pipe);
  sigaltstack(&stack, NULL);
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  say("survived", 1);
}

// Goes down until little more than what a call of libc's own takes is left of the stack.
static long dig(const char *bottom) {
  char here[128];
  memset(here, 1, sizeof(here));
  long deeper = here - bottom > 4096 ? dig(bottom) : 0;
  if (deeper == 0) {
    char c = 'x';
    int fd[2];
    pipe(fd);
    write(fd[1], &c, 1);
    deeper = read(fd[0], &c, 1);
    close(fd[0]);
    close(fd[1]);
  }
  return deeper + here[1];
}

static char small[20480];
static volatile long dug;

static void digs(int number) {
  (void)number;
  dug = dig(small);
}

static void recursion_on_a_small_stack(void) {
  stack_t stack = {.ss_sp = small, .ss_size = sizeof(small)};
  struct sigaction action = {.sa_handler = digs, .sa_flags = SA_ONSTACK};
  sigaltstack(&stack, NULL);
  sigaction(SIGUSR1, &action, NULL);
  for (int i = 0; i < 3; i++) raise(SIGUSR1);
  say("deep", dug > 20);
}

static volatile int stop;

static void *logs(void *unused) {
  (void)unused;
  int fd[2];
  char c;
  pipe(fd);
  while (!stop) {
    write(fd[1], "x", 1);
    read(fd[0], &c, 1);
  }
  return NULL;
}

static void *forks(void *sum) {
  for (int i = 1; i <= 50; i++) {
    int status;
    pid_t child = fork();
    if (child == 0) {
      int fd[2];
      char c;
      pipe(fd);
      write(fd[1], "x", 1);
      _exit(read(fd[0], &c, 1) == 1 ? i : 0);
    }
    waitpid(child, &status, 0);
    *(int *)sum += WEXITSTATUS(status);
  }
  return NULL;
}

static void fork_in_a_thread(void) {
  pthread_t loggers[4], forker;
  int sum = 0;
  for (int i = 0; i < 4; i++) pthread_create(&loggers[i], NULL, logs, NULL);
  pthread_create(&forker, NULL, forks, &sum);
  pthread_join(forker, NULL);
  stop = 1;
  for (int i = 0; i < 4; i++) pthread_join(loggers[i], NULL);
  say("sum", sum);
}

static void closefrom_0(void) {
  int out = fcntl(STDOUT_FILENO, F_DUPFD, 900);
  closefrom(0);
  say("write", write(out, "x", 1));
  int fd[2];
  pipe(fd);
  _exit(fd[0] == 0 && fd[1] == 1 && open("/dev/null", O_RDONLY) == 2 ? 0 : 1);
}

static void *many_calls(void *unused) {
  (void)unused;
  int fd[2];
  char c;
  pipe(fd);
  for (int i = 0; i < 5000; i++) {
    write(fd[1], "x", 1);
    read(fd[0], &c, 1);
  }
  close(fd[0]);
  close(fd[1]);
  return NULL;
}

static void many_threads_and_forks(void) {
  pthread_t threads[32];
  for (int i = 0; i < 32; i++) pthread_create(&threads[i], NULL, many_calls, NULL);
  int sum = 0;
  for (int i = 0; i < 20; i++) {
    pid_t child = fork();
    if (child == 0) _exit(i);
    int status;
    waitpid(child, &status, 0);
    sum += WEXITSTATUS(status);
  }
  for (int i = 0; i < 32; i++) pthread_join(threads[i], NULL);
  say("sum", sum);
}

static void many_processes(void) {
  int sum = 0;
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 25; i++)
      if (fork() == 0) _exit(1);
    int status;
    while (wait(&status) > 0) sum += WEXITSTATUS(status);
  }
  say("sum", sum);
}

static void a_chain_of_execs(const char *left) {
  char next[16];
  int n = left == NULL ? 200 : atoi(left);
  if (n == 0) {
    say("pid is the same", 1);
    say("next number", open("/dev/null", O_RDONLY));
    return;
  }
  snprintf(next, sizeof(next), "%d", n - 1);
  execl("/proc/self/exe", "unusual", "a-chain-of-execs", next, (char *)NULL);
}

static void vfork_shares_memory(void) {
  static volatile int shared;
  pid_t child = vfork();
  if (child == 0) {
    shared = 42;
    _exit(7);
  }
  int status;
  waitpid(child, &status, 0);
  say("shared", shared);
  say("status", WEXITSTATUS(status));
}

static void passes_a_descriptor(void) {
  int ends[2], fd[2];
  char byte = 'x', space[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space,
                           .msg_controllen = sizeof(space)};
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  pipe(fd);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd[0], sizeof(int));
  say("sendmsg", sendmsg(ends[0], &message, 0));
  close(fd[0]);
  say("recvmsg", recvmsg(ends[1], &message, 0));
  int got;
  memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
  write(fd[1], "abc", 3);
  char text[8];
  say("number", got);
  say("read", read(got, text, sizeof(text)));
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } all[] = {
      {"errno-is-kept", errno_is_kept},
      {"low-numbers-are-free", low_numbers_are_free},
      {"everything-is-closed", everything_is_closed},
      {"limit-of-16-descriptors", limit_of_16_descriptors},
      {"limit-of-file-size-0", limit_of_file_size_0},
      {"little-address-space", little_address_space},
      {"an-empty-environment", an_empty_environment},
      {"environment-is", environment_is},
      {"cancelled-in-a-read", cancelled_in_a_read},
      {"handlers-that-do-io", handlers_that_do_io},
      {"longjmp-out-of-a-read", longjmp_out_of_a_read},
      {"stacks-of-16-kib", stacks_of_16_kib},
      {"handler-on-a-small-stack", handler_on_a_small_stack},
      {"recursion-on-a-small-stack", recursion_on_a_small_stack},
      {"fork-in-a-thread", fork_in_a_thread},
      {"closefrom-0", closefrom_0},
      {"many-threads-and-forks", many_threads_and_forks},
      {"many-processes", many_processes},
      {"vfork-shares-memory", vfork_shares_memory},
      {"passes-a-descriptor", passes_a_descriptor},
  };
  if (argc < 2) {
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) puts(all[i].name);
    puts("a-chain-of-execs");
    return 0;
  }
  if (strcmp(argv[1], "a-chain-of-execs") == 0) {
    a_chain_of_execs(argv[2]);
    return 0;
  }
  for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
    if (strcmp(argv[1], all[i].name) == 0) {
      all[i].run();
      return 0;
    }
  }
  return 2;
}

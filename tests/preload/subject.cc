// The programs that the tests of the preload library run, with and without it: each mode is one.
// What they print must be the same both times. Plain C calls, as a student writes them.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <stdexcept>
#include <string>

extern char** environ;

namespace {

void Basics() {
  int ends[2];
  if (pipe(ends) != 0) exit(1);
  char data[8] = {};
  write(ends[1], "hello", 5);
  printf("%zd\n", read(ends[0], data, sizeof(data)));
  const int copy = dup(ends[1]);
  dup2(copy, 20);
  fcntl(20, F_SETFD, FD_CLOEXEC);
  fcntl(20, F_SETFL, O_NONBLOCK);
  close(20);
  printf("%d\n", close(20));
  close(copy);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    _exit(3);
  }
  int status;
  waitpid(child, &status, 0);
  printf("%d\n", WEXITSTATUS(status));
}

void Bad() {
  const auto show = [](const char* what, long result) {
    printf("%s %ld %d\n", what, result, result == -1 ? errno : 0);
  };
  errno = 99;
  show("good", fcntl(1, F_GETFD));
  printf("errno %d\n", errno);
  char* const bad = reinterpret_cast<char*>(8);
  char* const wild = reinterpret_cast<char*>(0x123456789000);
  show("open", open(bad, O_RDONLY));
  show("open", open(wild, O_RDONLY));
  show("open", open(nullptr, O_RDONLY));
  show("read", read(0, wild, 1));
  show("write", write(1, wild, 1));
  show("writev", writev(1, reinterpret_cast<iovec*>(wild), 2));
  show("execve", execve(wild, nullptr, nullptr));
  show("execve", execve("/nonexistent", reinterpret_cast<char**>(wild), environ));
  show("poll", poll(reinterpret_cast<pollfd*>(wild), 1, 0));
  show("select", select(1, reinterpret_cast<fd_set*>(wild), nullptr, nullptr, nullptr));
  show("connect", connect(0, reinterpret_cast<sockaddr*>(wild), 16));
  show("sendmsg", sendmsg(0, reinterpret_cast<msghdr*>(wild), 0));
  show("sigaction", sigaction(SIGUSR1, reinterpret_cast<struct sigaction*>(wild), nullptr));
  show("pipe", pipe(reinterpret_cast<int*>(wild)));
  show("close", close(-1));
}

sigjmp_buf jump;
int handled;
int self_pipe[2];

void Alarm() {
  signal(SIGALRM, [](int) { siglongjmp(jump, 1); });
  int ends[2];
  pipe(ends);
  char byte;
  if (sigsetjmp(jump, 1) == 0) {
    ualarm(20000, 0);
    read(ends[0], &byte, 1);
  }
  for (volatile int i = 0; i < 1000; ++i) {
  }
  puts("jumped");
}

void Handler() {
  pipe(self_pipe);
  signal(SIGALRM, [](int) {
    write(self_pipe[1], "x", 1);
    ++handled;
  });
  int ends[2];
  pipe(ends);
  itimerval every = {{0, 200}, {0, 200}};
  setitimer(ITIMER_REAL, &every, nullptr);
  int writes = 0;
  while (handled < 200) {
    char byte = 0;
    if (write(ends[1], &byte, 1) == 1) ++writes;
    read(ends[0], &byte, 1);
    char some[64];
    if (handled % 50 == 0 && handled != 0) read(self_pipe[0], some, sizeof(some));
  }
  itimerval none = {};
  setitimer(ITIMER_REAL, &none, nullptr);
  puts(writes > 0 ? "handled" : "not");
}

void* ReadOne(void* fd) {
  char byte;
  read(static_cast<int>(reinterpret_cast<long>(fd)), &byte, 1);
  return nullptr;
}

void Cancel() {
  int ends[2];
  pipe(ends);
  pthread_t thread;
  pthread_create(&thread, nullptr, ReadOne, reinterpret_cast<void*>(static_cast<long>(ends[0])));
  usleep(20000);
  pthread_kill(thread, 0);
  pthread_cancel(thread);
  void* result;
  pthread_join(thread, &result);
  puts(result == PTHREAD_CANCELED ? "cancelled" : "not");
}

void SmallStacks() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 16384);
  int done = 0;
  for (int round = 0; round < 8; ++round) {
    pthread_t threads[8];
    for (auto& thread : threads) {
      pthread_create(
          &thread, &attributes,
          [](void*) -> void* {
            int ends[2];
            if (pipe(ends) != 0) return nullptr;
            char byte = 1;
            write(ends[1], &byte, 1);
            read(ends[0], &byte, 1);
            const int fd = open("/dev/null", O_RDONLY);
            close(fd);
            close(ends[0]);
            close(ends[1]);
            return reinterpret_cast<void*>(1);
          },
          nullptr);
    }
    for (auto& thread : threads) {
      void* result;
      pthread_join(thread, &result);
      done += result != nullptr;
    }
  }
  printf("%d\n", done);
}

void Threads() {
  pthread_t threads[64];
  for (auto& thread : threads) {
    pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          int ends[2];
          pipe(ends);
          char byte = 1;
          for (int i = 0; i < 200; ++i) {
            write(ends[1], &byte, 1);
            read(ends[0], &byte, 1);
          }
          close(ends[0]);
          close(ends[1]);
          return nullptr;
        },
        nullptr);
  }
  // Fork while the others log.
  for (int i = 0; i < 10; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      int ends[2];
      pipe(ends);
      _exit(7);
    }
    int status;
    waitpid(child, &status, 0);
    if (WEXITSTATUS(status) != 7) puts("wrong");
  }
  for (auto& thread : threads) pthread_join(thread, nullptr);
  puts("done");
}

void Vfork() {
  int shared = 0;
  volatile int* const seen = &shared;
  pid_t child = vfork();
  if (child == 0) {
    *seen = 5;
    close(1);
    execl("/nonexistent", "x", static_cast<char*>(nullptr));
    _exit(errno == ENOENT ? 9 : 1);
  }
  int status;
  waitpid(child, &status, 0);
  printf("%d %d\n", *seen, WEXITSTATUS(status));
  fflush(stdout);
  child = vfork();
  if (child == 0) {
    char* none[] = {nullptr};
    execle("/bin/echo", "echo", "from", "vfork", nullptr, none);
    _exit(1);
  }
  waitpid(child, &status, 0);
  printf("%d\n", WEXITSTATUS(status));
}

void Spawn() {
  pid_t child;
  char echo[] = "echo", word[] = "spawned";
  char* arguments[] = {echo, word, nullptr};
  char* none[] = {nullptr};
  printf("%d\n", posix_spawnp(&child, "echo", nullptr, nullptr, arguments, none));
  int status;
  waitpid(child, &status, 0);
  fflush(stdout);
  printf("%d\n", posix_spawn(&child, "/nonexistent", nullptr, nullptr, arguments, none));
  fflush(stdout);
  printf("%d\n", system("exit 3"));
  FILE* const pipe = popen("cat", "w");
  fputs("through cat\n", pipe);
  fflush(stdout);
  printf("%d\n", pclose(pipe));
}

void Streams() {
  int ends[2];
  pipe(ends);
  FILE* const in = fdopen(ends[0], "r");
  FILE* const out = fdopen(ends[1], "w");
  fprintf(out, "%d %s\n", 12, "abc");
  fputs("second\n", out);
  fflush(out);
  char line[32];
  fgets(line, sizeof(line), in);
  printf("%s", line);
  printf("%c\n", fgetc(in));
  char rest[4];
  read(ends[0], rest, 0);
  int number = 0;
  fputs("77 ", out);
  fflush(out);
  fscanf(in, "%*s %d", &number);
  printf("%d\n", number);
  printf("pending");
  write(1, "raw\n", 4);
  fclose(in);
  fclose(out);
}

void Limits() {
  rlimit limit = {256u << 20, 256u << 20};
  setrlimit(RLIMIT_AS, &limit);
  rlimit files = {16, 16};
  setrlimit(RLIMIT_NOFILE, &files);
  rlimit size = {0, 0};
  setrlimit(RLIMIT_FSIZE, &size);
  signal(SIGXFSZ, SIG_IGN);
  int count = 0;
  while (open("/dev/null", O_RDONLY) >= 0) ++count;
  dprintf(2, "%d %d\n", count, errno);
  const pid_t child = fork();
  if (child == 0) _exit(count == 13 ? 4 : 5);
  int status;
  waitpid(child, &status, 0);
  dprintf(2, "%d\n", WEXITSTATUS(status));
}

void CloseAll() {
  closefrom(0);
  const int first = open("/dev/null", O_RDWR);
  const int second = open("/dev/null", O_RDWR);
  execl("/bin/sh", "sh", "-c", "exit 6", static_cast<char*>(nullptr));
  _exit(first == 0 && second == 1 ? 1 : 2);
}

void Throw() {
  // An exception that a handler-like callback throws through a caller of traced calls.
  struct Cleaner {
    ~Cleaner() { puts("cleaned"); }
  };
  try {
    Cleaner cleaner;
    write(1, "", 0);
    throw std::runtime_error("thrown");
  } catch (const std::exception& error) {
    puts(error.what());
  }
}

int Deep(int left) {
  char byte = 0;
  int ends[2];
  if (left == 0) {
    pipe(ends);
    write(ends[1], &byte, 1);
    return static_cast<int>(read(ends[0], &byte, 1));
  }
  return Deep(left - 1);
}

void AltStack() {
  stack_t stack = {};
  stack.ss_size = 8192;
  stack.ss_sp = static_cast<char*>(mmap(nullptr, 3 * 4096, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  munmap(static_cast<char*>(stack.ss_sp) + 8192, 4096);
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = [](int) { handled = Deep(10); };
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, nullptr);
  raise(SIGUSR1);
  printf("%d\n", handled);
}

void RawCalls() {
  int ends[2];
  syscall(SYS_pipe2, ends, 0);
  char byte = 0;
  syscall(SYS_write, ends[1], "q", 1);
  syscall(SYS_read, ends[0], &byte, 1);
  printf("%c\n", byte);
  fflush(stdout);
  const long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) {
    close(ends[0]);
    _exit(2);
  }
  int status;
  waitpid(static_cast<pid_t>(child), &status, 0);
  printf("%d\n", WEXITSTATUS(status));
  fflush(stdout);
  // A fork that nothing interposes.
  long inline_child;
  __asm__ volatile("syscall" : "=a"(inline_child) : "a"(SYS_fork) : "rcx", "r11", "memory");
  if (inline_child == 0) {
    close(ends[1]);
    _exit(8);
  }
  waitpid(static_cast<pid_t>(inline_child), &status, 0);
  printf("%d\n", WEXITSTATUS(status));
}

void Waits() {
  int ends[2];
  pipe(ends);
  pollfd entry = {ends[0], POLLIN, 0};
  printf("%d\n", poll(&entry, 1, 0));
  write(ends[1], "x", 1);
  printf("%d\n", poll(&entry, 1, 1000));
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ends[0], &set);
  timeval time = {1, 0};
  printf("%d\n", select(ends[0] + 1, &set, nullptr, nullptr, &time));
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event = {EPOLLIN, {.fd = ends[0]}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event);
  printf("%d\n", epoll_wait(epoll, &event, 1, 0));
  const int number = eventfd(1, 0);
  uint64_t value;
  printf("%zd\n", read(number, &value, 8));
}

void Rights() {
  int pair[2], ends[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  pipe(ends);
  char text[1] = {'z'};
  iovec vector = {text, 1};
  alignas(8) char control[CMSG_SPACE(sizeof(int))];
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* const part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(part), &ends[1], sizeof(int));
  sendmsg(pair[0], &message, 0);
  message.msg_controllen = sizeof(control);
  printf("%zd\n", recvmsg(pair[1], &message, 0));
}

void ExecChain(int left) {
  if (left == 0) {
    puts("end of chain");
    return;
  }
  const std::string next = std::to_string(left - 1);
  execl("/proc/self/exe", "subject", "chain", next.c_str(), static_cast<char*>(nullptr));
  exit(1);
}

void Many() {
  int wrong = 0;
  for (int i = 0; i < 500; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(i % 100);
    int status;
    waitpid(child, &status, 0);
    wrong += WEXITSTATUS(status) != i % 100;
  }
  printf("%d\n", wrong);
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, void (*)()> modes = {
      {"basics", Basics},   {"bad", Bad},          {"alarm", Alarm},     {"handler", Handler},
      {"cancel", Cancel},   {"small", SmallStacks}, {"threads", Threads}, {"vfork", Vfork},
      {"spawn", Spawn},     {"streams", Streams},  {"limits", Limits},   {"closeall", CloseAll},
      {"throw", Throw},     {"altstack", AltStack}, {"raw", RawCalls},    {"waits", Waits},
      {"rights", Rights},   {"many", Many},
  };
  if (argc > 2 && strcmp(argv[1], "chain") == 0) {
    ExecChain(atoi(argv[2]));
    return 0;
  }
  modes.at(argc > 1 ? argv[1] : "basics")();
  return 0;
}

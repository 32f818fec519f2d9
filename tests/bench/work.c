// The work that tools/bench.py measures: `work WHAT UNITS [MORE]` does WHAT so many times and
// prints
//
//   <nanoseconds a unit> <CPU nanoseconds a unit, of this process and its children>
//
// measured in here, so that what starting costs is not in it (but for `exec` and `start`, which are
// about that). Each is correct: ipctrace has nothing to say about it.
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void Need(int holds, const char* what) {
  if (holds) return;
  perror(what);
  exit(1);
}

static uint64_t Now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t CpuOf(int who) {
  struct rusage usage;
  getrusage(who, &usage);
  return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
         (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}
static uint64_t Cpu(void) { return CpuOf(RUSAGE_SELF) + CpuOf(RUSAGE_CHILDREN); }

static void WaitFor(pid_t child) {
  int status;
  Need(waitpid(child, &status, 0) == child && status == 0, "a child");
}

static void HammerPipe(long units) {
  int ends[2];
  char byte = 'x';
  Need(pipe(ends) == 0, "pipe");
  for (long i = 0; i < units; i += 2) {
    Need(write(ends[1], &byte, 1) == 1, "write");
    Need(read(ends[0], &byte, 1) == 1, "read");
  }
  close(ends[0]);
  close(ends[1]);
}

// One unit is a byte there and back.
static void PingPong(long units) {
  int there[2], back[2];
  char byte = 'x';
  Need(pipe(there) == 0 && pipe(back) == 0, "pipe");
  pid_t child = fork();
  Need(child >= 0, "fork");
  if (child == 0) {
    close(there[1]);
    close(back[0]);
    while (read(there[0], &byte, 1) == 1) Need(write(back[1], &byte, 1) == 1, "write");
    _exit(0);
  }
  close(there[0]);
  close(back[1]);
  for (long i = 0; i < units; ++i) {
    Need(write(there[1], &byte, 1) == 1, "write");
    Need(read(back[0], &byte, 1) == 1, "read");
  }
  close(there[1]);
  close(back[0]);
  WaitFor(child);
}

static void Serve(int listener, long connections) {
  for (long i = 0; i < connections; ++i) {
    int connection = accept(listener, NULL, NULL);
    Need(connection >= 0, "accept");
    pid_t child = fork();
    Need(child >= 0, "fork");
    if (child == 0) {
      char buffer[64];
      ssize_t got;
      close(listener);
      while ((got = read(connection, buffer, sizeof(buffer))) > 0) {
        for (ssize_t at = 0; at < got;) {
          ssize_t sent = write(connection, buffer + at, (size_t)(got - at));
          Need(sent > 0, "write");
          at += sent;
        }
      }
      close(connection);
      _exit(0);
    }
    close(connection);
    WaitFor(child);
  }
}

// One unit is a message of 16 bytes there and back; a connection has 200 of them.
static void Echo(long units) {
  enum { kMessages = 200 };
  long connections = (units + kMessages - 1) / kMessages;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  Need(listener >= 0 && bind(listener, (struct sockaddr*)&address, length) == 0 &&
           listen(listener, 16) == 0 &&
           getsockname(listener, (struct sockaddr*)&address, &length) == 0,
       "a server");
  pid_t server = fork();
  Need(server >= 0, "fork");
  if (server == 0) {
    Serve(listener, connections);
    close(listener);
    _exit(0);
  }
  close(listener);
  for (long i = 0; i < connections; ++i) {
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    char message[16] = "fifteen letters";
    message[sizeof(message) - 1] = '\n';
    Need(connection >= 0 && connect(connection, (struct sockaddr*)&address, length) == 0,
         "connect");
    for (int n = 0; n < kMessages; ++n) {
      Need(write(connection, message, sizeof(message)) == sizeof(message), "write");
      for (size_t at = 0; at < sizeof(message);) {
        ssize_t got = read(connection, message + at, sizeof(message) - at);
        Need(got > 0, "read");
        at += (size_t)got;
      }
    }
    close(connection);
  }
  WaitFor(server);
}

static void OpenAndClose(long units) {
  for (long i = 0; i < units; ++i) {
    int fd = open("/dev/null", O_RDWR);
    Need(fd >= 0, "open");
    close(fd);
  }
}

static void Exec(long units) {
  for (long i = 0; i < units; ++i) {
    pid_t child = fork();
    Need(child >= 0, "fork");
    if (child == 0) {
      execl("/bin/true", "true", (char*)NULL);
      _exit(127);
    }
    WaitFor(child);
  }
}

static void Fork(long units) {
  for (long i = 0; i < units; ++i) {
    pid_t child = fork();
    Need(child >= 0, "fork");
    if (child == 0) _exit(0);
    WaitFor(child);
  }
}

static FILE* Lines(long bytes) {
  FILE* file = tmpfile();
  Need(file != NULL, "tmpfile");
  for (long i = 0; i < bytes; ++i) putc(i % 40 == 39 ? '\n' : 'x', file);
  Need(fflush(file) == 0, "fflush");
  rewind(file);
  return file;
}

static void ReadBytes(FILE* file, long units) {
  long seen = 0;
  while (fgetc(file) != EOF) ++seen;
  Need(seen == units, "fgetc");
}

static void ReadLines(FILE* file, long units) {
  char line[64];
  long seen = 0;
  while (fgets(line, sizeof(line), file) != NULL) ++seen;
  Need(seen == units, "fgets");
}

static void* HammerInThread(void* units) {
  HammerPipe(*(long*)units);
  return NULL;
}

// `count` threads share the units.
static void Threads(long units, long count) {
  pthread_t threads[1024];
  long each = units / count;
  Need(count <= 1024, "too many threads");
  for (long i = 0; i < count; ++i) {
    Need(pthread_create(&threads[i], NULL, HammerInThread, &each) == 0, "pthread_create");
  }
  for (long i = 0; i < count; ++i) pthread_join(threads[i], NULL);
}

static void Processes(long units, long count) {
  pid_t children[4096];
  Need(count <= 4096, "too many processes");
  for (long i = 0; i < count; ++i) {
    children[i] = fork();
    Need(children[i] >= 0, "fork");
    if (children[i] == 0) {
      HammerPipe(units / count);
      _exit(0);
    }
  }
  for (long i = 0; i < count; ++i) WaitFor(children[i]);
}

// So many descriptors at once, each used; `forks` children are made while they are open.
static void Descriptors(long units, long forks) {
  int* fds = malloc(sizeof(int) * (size_t)units);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  for (long i = 0; i < units; ++i) {
    fds[i] = open("/dev/null", O_RDWR);
    Need(fds[i] >= 0, "open");
    Need(write(fds[i], "x", 1) == 1, "write");
  }
  Fork(forks);
  for (long i = units - 1; i >= 0; --i) close(fds[i]);
  free(fds);
}

// From just before exec to main. The time goes along as an argument, and back through a pipe that
// is standard output of the new image.
static uint64_t Start(long units) {
  uint64_t total = 0;
  char self[4096] = "";
  Need(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0, "readlink");
  for (long i = 0; i < units; ++i) {
    int ends[2];
    Need(pipe(ends) == 0, "pipe");
    pid_t child = fork();
    Need(child >= 0, "fork");
    if (child == 0) {
      char text[32];
      dup2(ends[1], STDOUT_FILENO);
      close(ends[0]);
      close(ends[1]);
      snprintf(text, sizeof(text), "%llu", (unsigned long long)Now());
      execl(self, "work", "started", text, (char*)NULL);
      _exit(127);
    }
    char text[32] = "";
    close(ends[1]);
    Need(read(ends[0], text, sizeof(text) - 1) > 0, "read");
    close(ends[0]);
    WaitFor(child);
    total += strtoull(text, NULL, 10);
  }
  return total;
}

int main(int argc, char** argv) {
  uint64_t entered = Now();
  if (argc < 3) {
    fprintf(stderr, "work WHAT UNITS [MORE]\n");
    return 2;
  }
  const char* what = argv[1];
  long units = atol(argv[2]);
  long more = argc > 3 ? atol(argv[3]) : 1;
  if (strcmp(what, "started") == 0) {
    printf("%llu", (unsigned long long)(entered - strtoull(argv[2], NULL, 10)));
    return 0;
  }
  FILE* file = NULL;
  if (strcmp(what, "fgetc") == 0 || strcmp(what, "lines") == 0) file = Lines(units);
  if (strcmp(what, "fgets") == 0) file = Lines(units * 40);
  uint64_t cpu = Cpu(), begin = Now();
  if (strcmp(what, "start") == 0) {
    printf("%.2f 0\n", (double)Start(units) / (double)units);
    return 0;
  }
  if (strcmp(what, "pipe") == 0)
    HammerPipe(units);
  else if (strcmp(what, "pingpong") == 0)
    PingPong(units);
  else if (strcmp(what, "echo") == 0)
    Echo(units);
  else if (strcmp(what, "open") == 0)
    OpenAndClose(units);
  else if (strcmp(what, "exec") == 0)
    Exec(units);
  else if (strcmp(what, "fork") == 0)
    Fork(units);
  else if (strcmp(what, "fgetc") == 0)
    ReadBytes(file, units);
  else if (strcmp(what, "fgets") == 0)
    ReadLines(file, units);
  else if (strcmp(what, "threads") == 0)
    Threads(units, more);
  else if (strcmp(what, "processes") == 0)
    Processes(units, more);
  else if (strcmp(what, "descriptors") == 0)
    Descriptors(units, more);
  else
    Need(strcmp(what, "lines") == 0 || strcmp(what, "nothing") == 0, what);
  uint64_t took = Now() - begin;
  cpu = Cpu() - cpu;
  if (file != NULL) fclose(file);
  printf("%.2f %.2f\n", (double)took / (double)units, (double)cpu / (double)units);
  return 0;
}

// Makes a program's schedule a matter of chance that a seed can bring again: a preloaded library
// that stands behind the tracer and, before and after the calls that processes and threads meet in,
// sometimes yields or sleeps for up to IPCTRACE_JITTER_US microseconds. IPCTRACE_JITTER_SEED starts
// the random numbers. The delay lies within the tracer's record of the call, where it hurts most:
// what really happened first can be anywhere between the two times of the record.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static uint64_t seed;
static uint64_t longest_us = 3000;
static __thread uint64_t state;
static __thread unsigned calls;

static uint64_t Random(void) {
  // xorshift64*; a thread's numbers depend on the seed, its process and how often it called.
  if (state == 0) state = (seed + 1) * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid() << 20 ^ (uint64_t)gettid();
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 0x2545f4914f6cdd1du >> 11;
}

static void Wait(void) {
  if (seed == 0) return;
  // A loop of many calls is not to last for ever.
  if (++calls > 200 && Random() % 64 != 0) return;
  const int saved = errno;
  switch (Random() % 4) {
    case 0: {
      const struct timespec time = {0, (long)(Random() % longest_us * 1000)};
      // Not nanosleep, which is a cancellation point.
      __asm__ volatile("" ::: "memory");
      register long r10 __asm__("r10") = 0;
      long result;
      __asm__ volatile("syscall"
                       : "=a"(result)
                       : "a"(35L), "D"(&time), "S"(0L), "r"(r10)
                       : "rcx", "r11", "memory");
      break;
    }
    case 1: {
      long result;
      __asm__ volatile("syscall" : "=a"(result) : "a"(24L) : "rcx", "r11", "memory");
      break;
    }
    default: break;
  }
  errno = saved;
}

__attribute__((constructor)) static void Start(void) {
  const char* text = getenv("IPCTRACE_JITTER_SEED");
  if (text != NULL) seed = strtoull(text, NULL, 10);
  text = getenv("IPCTRACE_JITTER_US");
  if (text != NULL && atoi(text) > 0) longest_us = strtoull(text, NULL, 10);
  // The analyzer is not what is tried here.
  if (strcmp(program_invocation_short_name, "ipctrace") == 0) seed = 0;
}

#define JITTER(type, name, parameters, arguments)                              \
  type name parameters {                                                       \
    static type(*real) parameters;                                             \
    if (real == NULL) real = (type(*) parameters)dlsym(RTLD_NEXT, #name);      \
    Wait();                                                                    \
    type outcome = real arguments;                                            \
    Wait();                                                                    \
    return outcome;                                                            \
  }

JITTER(int, close, (int fd), (fd))
JITTER(int, pipe, (int* fd), (fd))
JITTER(int, dup, (int fd), (fd))
JITTER(int, dup2, (int from, int to), (from, to))
JITTER(ssize_t, read, (int fd, void* data, size_t size), (fd, data, size))
JITTER(ssize_t, write, (int fd, const void* data, size_t size), (fd, data, size))
JITTER(ssize_t, send, (int fd, const void* data, size_t size, int flags), (fd, data, size, flags))
JITTER(ssize_t, recv, (int fd, void* data, size_t size, int flags), (fd, data, size, flags))
JITTER(int, shutdown, (int fd, int how), (fd, how))
JITTER(int, accept, (int fd, struct sockaddr* address, socklen_t* size), (fd, address, size))
JITTER(int, connect, (int fd, const struct sockaddr* address, socklen_t size), (fd, address, size))
JITTER(pid_t, fork, (void), ())
JITTER(pid_t, wait, (int* status), (status))
JITTER(pid_t, waitpid, (pid_t pid, int* status, int options), (pid, status, options))
JITTER(int, pthread_join, (pthread_t thread, void** result), (thread, result))
JITTER(int, pthread_create,
       (pthread_t * thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument),
       (thread, attributes, start, argument))

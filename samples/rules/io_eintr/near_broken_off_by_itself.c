// A thread that reads is stopped by a flag and a signal that breaks its read off: that is what the
// signal is for, and the peer may well be still there.
// EXPECT: clean
// CXXFLAGS: -pthread
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int stop, ended;
static int ends[2];

static void nothing(int signal_number) { (void)signal_number; }

static void *reader(void *unused) {
  char word[16];
  while (!stop) {
    ssize_t got = read(ends[0], word, sizeof(word));
    if (got == 0 || (got < 0 && errno != EINTR)) break;
  }
  ended = 1;
  return unused;
}

int main(void) {
  struct sigaction action = {.sa_handler = nothing};
  pthread_t thread;
  char byte;
  sigaction(SIGUSR1, &action, NULL);
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  pid_t peer = fork();
  if (peer == 0) {
    close(ends[0]);
    read(ends[1], &byte, 1);
    _exit(0);
  }
  close(ends[1]);
  pthread_create(&thread, NULL, reader, NULL);
  usleep(100000);
  stop = 1;
  while (!ended) {  // it may not yet be in its read
    pthread_kill(thread, SIGUSR1);
    usleep(1000);
  }
  pthread_join(thread, NULL);
  close(ends[0]);
  waitpid(peer, NULL, 0);
  return 0;
}

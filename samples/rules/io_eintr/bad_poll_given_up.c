// poll is broken off even with SA_RESTART: the end of the first child is taken for a failure, and
// what the second one has yet to say is never read.
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void note(int signal_number) { (void)signal_number; }

int main(void) {
  struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
  int ends[2];
  char word[16];
  sigaction(SIGCHLD, &action, NULL);
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  if (fork() == 0) {  // has something to say when the other one is long gone
    close(ends[0]);
    read(ends[1], word, sizeof(word));
    _exit(0);
  }
  close(ends[1]);
  if (fork() == 0) {
    close(ends[0]);
    usleep(200000);
    _exit(0);
  }
  struct pollfd input = {.fd = ends[0], .events = POLLIN};
  if (poll(&input, 1, -1) < 0) perror("poll");  // EXPECT: io-eintr
  close(ends[0]);
  while (wait(NULL) > 0)
    ;
  return 0;
}

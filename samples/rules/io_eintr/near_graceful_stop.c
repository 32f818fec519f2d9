// The parent tells its worker by SIGUSR1 to accept no more. Nobody is left in the queue.
// EXPECT: clean
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void leave(int signal_number) {
  (void)signal_number;
  stop = 1;
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof(address);
  struct sigaction action = {.sa_handler = leave};
  char byte;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, 8);
  getsockname(listener, (struct sockaddr *)&address, &length);
  sigaction(SIGUSR1, &action, NULL);
  pid_t worker = fork();
  if (worker == 0) {
    while (!stop) {
      int connection = accept(listener, NULL, NULL);
      if (connection < 0) break;
      write(connection, "x", 1);
      close(connection);
    }
    close(listener);
    _exit(0);
  }
  close(listener);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  connect(fd, (struct sockaddr *)&address, length);
  while (read(fd, &byte, 1) > 0) {
  }
  close(fd);
  usleep(100000);  // it is back in accept
  kill(worker, SIGUSR1);
  waitpid(worker, NULL, 0);
  return 0;
}

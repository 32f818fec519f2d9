// A server holds a writer of its own on its FIFO, so that it sees no end-of-file between two clients.
// It is told to stop by a signal.
// EXPECT: clean
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void stop(int signal) {
  (void)signal;
  _exit(0);
}

int main(void) {
  if (mkfifo("requests", 0600) != 0) return 1;
  pid_t server = fork();
  if (server == 0) {
    signal(SIGTERM, stop);
    int in = open("requests", O_RDONLY);
    int keep_open = open("requests", O_WRONLY);
    char request[8];
    while (read(in, request, sizeof(request)) > 0) {
    }
    close(keep_open);
    _exit(1);
  }
  for (int client = 0; client < 2; client++) {
    int out = open("requests", O_WRONLY);
    write(out, "request\n", 8);
    close(out);
    usleep(300 * 1000);
  }
  kill(server, SIGTERM);
  waitpid(server, NULL, 0);
  return 0;
}

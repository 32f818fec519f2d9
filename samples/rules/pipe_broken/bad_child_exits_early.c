// The parent sends orders to a worker that has already gone; the second one kills the parent.
// EXIT: SIGPIPE
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void send_order(int to, const char *order) {
  write(to, order, strlen(order));  // EXPECT: pipe-broken
}

int main(void) {
  int orders[2];
  char order[8];
  pipe(orders);
  pid_t worker = fork();
  if (worker == 0) {
    close(orders[1]);
    ssize_t got = read(orders[0], order, sizeof(order));
    return got > 0 ? 0 : 1;
  }
  close(orders[0]);
  send_order(orders[1], "dig");
  waitpid(worker, NULL, 0);
  send_order(orders[1], "fill");
  close(orders[1]);
  return 0;
}

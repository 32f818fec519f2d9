// A FIFO has no two numbers: what it is opened for is what it can do.
// SAYS: Open the FIFO with O_WRONLY
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
  if (mkfifo("orders", 0600) != 0) return 1;
  int orders = open("orders", O_RDONLY | O_NONBLOCK);
  if (write(orders, "tea", 3) != 3)  // EXPECT: pipe-wrong-end
    perror("write");
  close(orders);
  unlink("orders");
  return 0;
}

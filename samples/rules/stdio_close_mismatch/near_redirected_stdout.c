// Closing descriptor 1 and opening a file in its place is the old way to redirect standard output;
// the stream follows the number.
// EXPECT: clean
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  fflush(stdout);
  close(STDOUT_FILENO);
  if (open("redirected.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600) != STDOUT_FILENO) return 1;
  printf("into the file\n");
  fclose(stdout);
  unlink("redirected.txt");
  return 0;
}

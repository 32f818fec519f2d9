// What was printed is flushed before exec and before _exit.
// EXPECT: clean
#include <sys/wait.h>
#include <unistd.h>

#include <iostream>

int main() {
  if (fork() == 0) {
    printf("child\n");
    fflush(stdout);
    _exit(0);
  }
  wait(nullptr);
  std::cout << "parent" << std::endl;
  execlp("true", "true", static_cast<char*>(nullptr));
  return 127;
}

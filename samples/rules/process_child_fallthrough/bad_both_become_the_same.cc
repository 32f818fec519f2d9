// The child was to say its word and leave. It goes on, waits for nobody, and becomes the program that its
// parent becomes.
#include <sys/wait.h>
#include <unistd.h>

int main() {
  if (fork() == 0) write(STDOUT_FILENO, "child\n", 6);
  wait(nullptr);  // EXPECT: process-child-fallthrough
  execlp("true", "true", static_cast<char*>(nullptr));
  return 127;
}

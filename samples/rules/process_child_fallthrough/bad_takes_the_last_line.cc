// The first worker's program does not exist. The child goes on to the line that was for its parent.
// STDIN: first\nsecond\n
#include <sys/wait.h>
#include <unistd.h>

#include <iostream>
#include <string>

static std::string next_line() {
  std::string line;
  char c;
  while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n') line += c;  // EXPECT: process-child-fallthrough
  return line;
}

int main() {
  std::string line;
  while (!(line = next_line()).empty()) {
    if (line == "second") break;
    pid_t pid = fork();
    if (pid == 0) {
      execl("/nonexistent/worker", "worker", line.c_str(), static_cast<char*>(nullptr));
      std::cerr << "no worker for " << line << std::endl;
      continue;
    }
    waitpid(pid, nullptr, 0);
  }
}

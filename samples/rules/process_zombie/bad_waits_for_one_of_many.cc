// Four workers, and a wait for the last of them only. Then the parent goes on with its work.
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

int main() {
  std::vector<pid_t> workers;
  for (int i = 0; i < 4; ++i) {
    const pid_t pid = fork();  // EXPECT: process-zombie
    if (pid == 0) _exit(0);
    workers.push_back(pid);
  }
  waitpid(workers.back(), nullptr, 0);
  for (int i = 0; i < 8; ++i) usleep(100000);
}

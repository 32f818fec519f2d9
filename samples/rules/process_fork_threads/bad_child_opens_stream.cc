// The worker process is forked while the pool is already running, and uses stdio.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

int main() {
  std::atomic<bool> stop = false;
  std::vector<std::thread> pool;
  for (int i = 0; i < 3; ++i) {
    pool.emplace_back([&] {
      while (!stop) usleep(1000);
    });
  }
  pid_t pid = fork();  // EXPECT: process-fork-threads
  if (pid == 0) {
    FILE* file = fopen("/dev/null", "w");
    fprintf(file, "state\n");
    fclose(file);
    _exit(0);
  }
  waitpid(pid, nullptr, 0);
  stop = true;
  for (std::thread& thread : pool) thread.join();
}

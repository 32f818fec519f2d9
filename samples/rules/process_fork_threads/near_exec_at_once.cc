// With threads about, the child calls only what may be called: dup2, write, exec and _exit.
// EXPECT: clean
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

int main() {
  std::atomic<bool> stop = false;
  std::thread worker([&] {
    while (!stop) usleep(1000);
  });
  pid_t pid = fork();
  if (pid == 0) {
    int fd = open("/dev/null", O_WRONLY);
    dup2(fd, STDOUT_FILENO);
    close(fd);
    write(STDOUT_FILENO, "child\n", 6);
    execlp("true", "true", static_cast<char*>(nullptr));
    _exit(127);
  }
  waitpid(pid, nullptr, 0);
  stop = true;
  worker.join();
}

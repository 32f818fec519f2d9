// The parent makes a pipe between two children and uses neither end, yet keeps both until it exits.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>

namespace {

pid_t Spawn(const std::function<void()>& body) {
  const pid_t pid = fork();  // EXPECT: pipe-unused-end
  if (pid == 0) {
    body();
    _exit(0);
  }
  return pid;
}

}  // namespace

int main() {
  std::array<int, 2> fd;
  if (pipe(fd.data()) != 0) return 1;
  const pid_t writer = Spawn([&] {
    close(fd[0]);
    write(fd[1], "ping", 4);
    close(fd[1]);
  });
  const pid_t reader = Spawn([&] {
    char text[4];
    close(fd[1]);
    read(fd[0], text, sizeof(text));
    close(fd[0]);
  });
  waitpid(writer, nullptr, 0);
  waitpid(reader, nullptr, 0);
}

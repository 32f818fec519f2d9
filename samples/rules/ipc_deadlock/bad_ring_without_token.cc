// A ring of processes passes a token on; nobody ever put one in.
// HANGS
#include <sys/wait.h>
#include <unistd.h>

#include <array>

constexpr int kRing = 4;

static void Pass(int in, int out) {
  char token;
  for (int round = 0; round < 3; ++round) {
    if (read(in, &token, 1) != 1) return;  // EXPECT: ipc-deadlock
    write(out, &token, 1);
  }
}

int main() {
  std::array<std::array<int, 2>, kRing> pipes;
  for (auto& each : pipes) {
    if (pipe(each.data()) != 0) return 1;
  }
  for (int i = 0; i < kRing; ++i) {
    if (fork() != 0) continue;
    for (int j = 0; j < kRing; ++j) {
      if (j != i) close(pipes[j][0]);
      if (j != (i + 1) % kRing) close(pipes[j][1]);
    }
    Pass(pipes[i][0], pipes[(i + 1) % kRing][1]);
    _exit(0);
  }
  for (auto& each : pipes) {
    close(each[0]);
    close(each[1]);
  }
  while (wait(nullptr) > 0) {
  }
}

// Main reads from its worker, which waits for a result that a third thread is long about.
// EXPECT: clean
#include <chrono>
#include <cstdio>
#include <future>
#include <thread>
#include <unistd.h>

int main() {
  int ends[2];
  pipe(ends);
  std::promise<char> result;
  std::thread computer([&] {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    while (std::chrono::steady_clock::now() < end) {
    }
    result.set_value('r');
  });
  std::thread worker([&] {
    const char byte = result.get_future().get();
    write(ends[1], &byte, 1);
  });
  char byte = 0;
  read(ends[0], &byte, 1);
  worker.join();
  computer.join();
  close(ends[0]);
  close(ends[1]);
  std::printf("%c\n", byte);
}

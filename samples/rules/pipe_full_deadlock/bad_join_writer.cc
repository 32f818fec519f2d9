// A thread produces into a pipe; main joins it before it reads.
// HANGS
// SAYS: main thread waits in pthread_join
#include <unistd.h>

#include <string>
#include <thread>

class Producer {
 public:
  explicit Producer(int sink) : thread_([sink] {
    const std::string block(1000, 'p');
    for (int i = 0; i < 100; ++i) {
      if (write(sink, block.data(), block.size()) < 0) break;  // EXPECT: pipe-full-deadlock
    }
    close(sink);
  }) {}
  void Finish() { thread_.join(); }

 private:
  std::thread thread_;
};

int main() {
  int fd[2];
  if (pipe(fd) != 0) return 1;
  Producer producer(fd[1]);
  producer.Finish();
  char block[4096];
  while (read(fd[0], block, sizeof(block)) > 0) {
  }
  close(fd[0]);
}

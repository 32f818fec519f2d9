// Opened here, used and closed by another thread: never more than a few at a time.
// EXPECT: clean
#include <fcntl.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <queue>
#include <thread>

class Queue {
 public:
  void Put(int fd) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return fds_.size() < 2; });
    fds_.push(fd);
    changed_.notify_all();
  }
  int Take() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return !fds_.empty(); });
    const int fd = fds_.front();
    fds_.pop();
    changed_.notify_all();
    return fd;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::queue<int> fds_;
};

int main() {
  Queue queue;
  std::thread worker([&] {
    for (int fd; (fd = queue.Take()) >= 0;) {
      char c;
      read(fd, &c, 1);
      close(fd);
    }
  });
  for (int i = 0; i < 50; ++i) queue.Put(open("/dev/zero", O_RDONLY));
  queue.Put(-1);
  worker.join();
}

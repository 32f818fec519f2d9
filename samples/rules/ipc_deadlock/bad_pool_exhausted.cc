// A pool of one thread. The first task waits for what the second one, which nobody is left to run,
// would write.
// HANGS
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <mutex>
#include <queue>
#include <thread>
#include <unistd.h>

class Pool {
 public:
  Pool() : worker_([this] { Work(); }) {}
  ~Pool() {
    Submit(nullptr);
    worker_.join();
  }
  void Submit(std::function<void()> task) {
    std::lock_guard lock(mutex_);
    tasks_.push(std::move(task));
    filled_.notify_one();
  }

 private:
  void Work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      filled_.wait(lock, [this] { return !tasks_.empty(); });
      auto task = std::move(tasks_.front());
      tasks_.pop();
      lock.unlock();
      if (!task) return;
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable filled_;
  std::queue<std::function<void()>> tasks_;
  std::thread worker_;
};

int main() {
  int ends[2];
  pipe(ends);
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  Pool pool;
  pool.Submit([&] {
    char byte;
    read(ends[0], &byte, 1);  // EXPECT: ipc-deadlock
    std::lock_guard lock(mutex);
    done = true;
    changed.notify_one();
  });
  pool.Submit([&] { write(ends[1], "x", 1); });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return done; });
  close(ends[0]);
  close(ends[1]);
  puts("done");
}

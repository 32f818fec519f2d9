// Writers as the preload library is one, in threads of this process, against the real follower.
#include "analyzer/live/follower.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "preload/trace/calls.h"
#include "preload/trace/session_file.h"

namespace ipctrace {
namespace {

struct Session {
  // `stock`: so many chunks are in the ring at first, if there are so many.
  explicit Session(size_t bytes, uint32_t stock = ~uint32_t{0}) {
    const char* folder = getenv("TEST_TMPDIR");
    path =
        std::string(folder != nullptr ? folder : "/tmp") + "/follower" + std::to_string(getpid());
    unlink(path.c_str());
    std::string error;
    header = CreateSession(path, bytes, ChooseClock(), &error, stock);
    EXPECT_NE(header, nullptr) << error;
    fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  }
  ~Session() {
    UnmapSession(header);
    close(fd);
    unlink(path.c_str());
  }
  std::string path;
  SessionHeader* header;
  int fd;
};

uint64_t Now(const SessionHeader* header) {
  if (header->clock == ClockKind::kTsc) return __rdtsc();
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// The least that a writer must do, in plain words.
class Writer {
 public:
  Writer(SessionHeader* header, uint32_t process, uint32_t thread)
      : header_(header), process_(process), thread_(thread) {}

  Record* Claim(uint64_t* seq) {
    if (chunk_ == nullptr || used_ == kRecordsPerChunk) TakeChunk();
    *seq = seq_++;
    return &ChunkRecords(chunk_)[used_++];
  }

  Record* Begin(Call call, int fd, uint64_t* seq) {
    Record* record = Claim(seq);
    record->head.store(Head(0, 0, RecordState::kClaimed));
    record->enter = Now(header_);
    record->fd = fd;
    call_ = call;
    return record;
  }
  void Enter(Record* record) {
    record->head.store(Head(static_cast<uint16_t>(call_), 0, RecordState::kEntered));
  }
  void BeginReturn(Record* record) {
    record->head.store(Head(static_cast<uint16_t>(call_), 0, RecordState::kReturning));
  }
  void Return(Record* record, int64_t result) {
    BeginReturn(record);
    record->leave = Now(header_);
    record->result = result;
    record->head.store(Head(static_cast<uint16_t>(call_), 0, RecordState::kReturned));
  }
  // A whole call.
  void Write(int number) {
    uint64_t seq;
    Record* record = Begin(Call::read, number, &seq);
    Enter(record);
    Return(record, number);
  }
  void Blob(uint64_t owner, const std::string& text) {
    for (size_t offset = 0; offset < text.size(); offset += kBlobPieceBytes) {
      uint64_t seq;
      auto* piece = reinterpret_cast<BlobRecord*>(Claim(&seq));
      piece->head.store(Head(0, 0, RecordState::kClaimed));
      piece->owner = static_cast<uint32_t>(owner);
      piece->tag = BlobTag::kPath;
      piece->offset = static_cast<uint32_t>(offset);
      piece->length = static_cast<uint16_t>(std::min(kBlobPieceBytes, text.size() - offset));
      memcpy(piece->data, text.data() + offset, piece->length);
      piece->head.store(
          Head(static_cast<uint16_t>(Call::fact_blob), 0, RecordState::kReturned));
    }
  }

 private:
  void TakeChunk() {
    uint64_t ticket = header_->claimed.fetch_add(1);
    uint32_t count = header_->chunk_count;
    uint64_t lap = ticket / count + 1, slot;
    while (SlotLap(slot = SlotFor(header_, ticket, count).load()) != lap) {
      std::this_thread::yield();
    }
    chunk_ = SessionChunk(header_, SlotChunk(slot));
    chunk_->process = process_;
    chunk_->thread = thread_;
    chunk_->pid = getpid();
    chunk_->tid = static_cast<int32_t>(thread_);
    chunk_->first_seq = seq_;
    chunk_->lap.store(static_cast<uint32_t>(lap));
    used_ = 0;
  }

  SessionHeader* header_;
  uint32_t process_, thread_;
  ChunkHeader* chunk_ = nullptr;
  size_t used_ = 0;
  uint64_t seq_ = 0;
  Call call_ = Call::fact_none;
};

struct Checker : EventSink {
  void Take(const Event& event) override {
    ++count;
    if (testing::Test::HasFailure()) return;
    EXPECT_GE(event.time, last) << "out of order";
    last = event.time;
    if (event.kind == EventKind::kEnter) {
      EXPECT_TRUE(open.insert({event.thread, event.seq}).second);
      auto [it, first] = next.emplace(event.thread, 0);
      EXPECT_EQ(event.fd, it->second++) << "lost or doubled in thread " << event.thread;
    } else if (event.kind == EventKind::kLeave) {
      EXPECT_EQ(open.erase({event.thread, event.seq}), 1u);
      EXPECT_EQ(event.result, event.fd);
    }
    for (const auto& blob : event.blobs) text += blob.second;
  }
  size_t count = 0;
  Nanos last = 0;
  std::set<std::pair<uint32_t, uint64_t>> open;
  std::map<uint32_t, int> next;
  std::string text;
};

TEST(Follower, HandsOnEveryCallOfEveryThreadOnceAndInOrder) {
  auto seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  Session session(16 * kChunkSize + 100'000);  // small: chunks are used again many times
  TraceClock clock(session.header->clock);
  Follower follower(session.header, session.fd, &clock);
  constexpr int kThreads = 6, kCalls = 20'000;
  std::atomic<int> running = kThreads;
  std::vector<std::thread> threads;
  for (uint32_t id = 1; id <= kThreads; ++id) {
    threads.emplace_back([&, id] {
      std::mt19937 random(seed + id);
      Writer writer(session.header, 1, id);
      for (int i = 0; i < kCalls; ++i) {
        uint64_t seq;
        Record* record = writer.Begin(Call::read, i, &seq);
        if (random() % 50 == 0) writer.Blob(seq, "early");
        writer.Enter(record);
        if (random() % 100 == 0) std::this_thread::yield();
        if (random() % 50 == 0) writer.Blob(seq, std::string(random() % 200, 'x'));
        writer.Return(record, i);
      }
      --running;
    });
  }
  Checker checker;
  while (running > 0) follower.Poll(&checker);
  for (auto& thread : threads) thread.join();
  usleep(1000);
  while (follower.Poll(&checker) > 0) {
  }
  EXPECT_EQ(checker.count, size_t{kThreads} * kCalls * 2);
  EXPECT_TRUE(checker.open.empty());
}

TEST(Follower, ShowsACallThatHasNotReturned) {
  Session session(kDefaultSessionSize);
  TraceClock clock(session.header->clock);
  Follower follower(session.header, session.fd, &clock);
  Writer writer(session.header, 1, 1);
  Checker checker;
  uint64_t seq;
  Record* record = writer.Begin(Call::read, 0, &seq);
  std::string text(100, 'a');
  writer.Blob(seq, text);
  writer.Enter(record);
  usleep(1000);
  EXPECT_EQ(follower.Poll(&checker), 1u);
  EXPECT_EQ(checker.open.size(), 1u);
  EXPECT_EQ(checker.text, text);
  EXPECT_EQ(follower.Poll(&checker), 0u);
  writer.Blob(seq, "late");
  writer.Return(record, 0);
  usleep(1000);
  EXPECT_EQ(follower.Poll(&checker), 1u);
  EXPECT_EQ(checker.text, text + "late");
}

TEST(Follower, NestsASignalHandlersCallsInTheCallTheyInterrupt) {
  Session session(kDefaultSessionSize);
  TraceClock clock(session.header->clock);
  Follower follower(session.header, session.fd, &clock);
  Writer writer(session.header, 1, 1);
  uint64_t outer_seq, inner_seq;
  Record* outer = writer.Begin(Call::read, 0, &outer_seq);
  writer.Enter(outer);
  Record* inner = writer.Begin(Call::read, 1, &inner_seq);
  writer.Enter(inner);
  writer.Return(inner, 1);
  writer.Return(outer, 0);
  usleep(1000);
  struct Order : EventSink {
    void Take(const Event& event) override {
      seen += (event.kind == EventKind::kEnter ? "E" : "L") + std::to_string(event.seq);
    }
    std::string seen;
  } order;
  follower.Poll(&order);
  EXPECT_EQ(order.seen, "E0E1L1L0");
}

TEST(Follower, ACallThatHasNotBegunHoldsNobodyBackAndComesAfterThem) {
  Session session(kDefaultSessionSize);
  TraceClock clock(session.header->clock);
  Follower follower(session.header, session.fd, &clock);
  Writer stopped(session.header, 1, 1), running(session.header, 1, 2);
  uint64_t seq;
  Record* late = stopped.Begin(Call::read, 0, &seq);
  running.Write(0);
  usleep(1000);
  Checker checker;
  EXPECT_EQ(follower.Poll(&checker), 2u);
  stopped.Enter(late);
  stopped.Return(late, 0);
  usleep(1000);
  EXPECT_EQ(follower.Poll(&checker), 2u);
}

TEST(Follower, PassesOverAReturnThatIsNeverFilled) {
  Session session(kDefaultSessionSize);
  TraceClock clock(session.header->clock);
  Follower follower(session.header, session.fd, &clock);
  Writer stopped(session.header, 1, 1), running(session.header, 1, 2);
  uint64_t seq;
  Record* never = stopped.Begin(Call::read, 0, &seq);
  stopped.Enter(never);
  stopped.BeginReturn(never);
  running.Write(0);
  usleep(1000);
  Checker checker;
  EXPECT_EQ(follower.Poll(&checker), 1u) << "the return may be earlier than the other thread's call";
  for (int i = 0; i < 1000 && checker.count < 3; ++i) {
    usleep(1000);
    follower.Poll(&checker);
  }
  EXPECT_EQ(checker.count, 3u);
}

// A call with one of a signal handler inside it: unfinished records are left behind in chunks.
void WriteNested(Writer* writer, int number) {
  uint64_t seq;
  Record* outer = writer->Begin(Call::read, 2 * number, &seq);
  writer->Blob(seq, "blob");
  writer->Enter(outer);
  Record* inner = writer->Begin(Call::read, 2 * number + 1, &seq);
  writer->Enter(inner);
  writer->Return(inner, 2 * number + 1);
  writer->Return(outer, 2 * number);
}

// Follows a thread that writes, until it has done so and as many events have come.
void FollowWriter(const Session& session, Follower* follower, Checker* checker, size_t events,
                  const std::function<void(Writer*)>& write) {
  std::atomic<bool> done = false;
  std::thread running([&] {
    Writer writer(session.header, 1, 2);
    write(&writer);
    done = true;
  });
  while (!done) follower->Poll(checker);
  running.join();
  while (checker->count < events && !testing::Test::HasFailure()) follower->Poll(checker);
  EXPECT_TRUE(checker->open.empty());
}

TEST(Follower, KeepsWhatOthersWriteWhileOneHoldsThemBack) {
  Session session(64 * kChunkSize + 100'000);
  TraceClock clock(session.header->clock);
  Follower follower(session.header, session.fd, &clock);
  Writer stopped(session.header, 1, 1);
  uint64_t seq;
  Record* const held = stopped.Begin(Call::read, 0, &seq);
  stopped.Enter(held);
  stopped.BeginReturn(held);
  // More than the session holds.
  constexpr int kCalls = 6000;
  static_assert(kCalls * 3 > 2 * 64 * kRecordsPerChunk);
  Checker checker;
  FollowWriter(session, &follower, &checker, 4 * kCalls + 2, [&](Writer* writer) {
    for (int i = 0; i < kCalls; ++i) WriteNested(writer, i);
    stopped.Return(held, 0);
  });
  EXPECT_EQ(checker.text.size(), 4u * kCalls);
}

TEST(Follower, GivesChunksBackThoughAThreadHasNotBegunItsOwn) {
  constexpr uint32_t kChunks = 1024, kStock = 64;
  Session session(kChunks * kChunkSize + 100'000, kStock);
  TraceClock clock(session.header->clock);
  Follower follower(session.header, session.fd, &clock);
  session.header->claimed.fetch_add(1);  // by a thread that then lost its processor
  constexpr int kCalls = 4 * kStock * kRecordsPerChunk;
  Checker checker;
  FollowWriter(session, &follower, &checker, 2 * kCalls, [](Writer* writer) {
    for (int i = 0; i < kCalls; ++i) writer->Write(i);
  });
}

TEST(Follower, OrdersADeathAfterWhatTheProcessDid) {
  Session session(kDefaultSessionSize);
  TraceClock clock(session.header->clock);
  Follower follower(session.header, session.fd, &clock);
  Writer writer(session.header, 7, 1);
  uint64_t seq;
  Record* record = writer.Begin(Call::read, 0, &seq);
  writer.Enter(record);
  struct Order : EventSink {
    void Take(const Event& event) override { kinds.push_back(event.kind); }
    std::vector<EventKind> kinds;
  } order;
  follower.DidDie(7, getpid(), 9);
  usleep(1000);
  follower.Poll(&order);
  EXPECT_EQ(order.kinds, (std::vector<EventKind>{EventKind::kEnter, EventKind::kDeath}));
}

}  // namespace
}  // namespace ipctrace

#include "analyzer/events/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <random>

#include "gtest/gtest.h"

namespace ipctrace {
namespace {

class Keeper : public EventSink {
 public:
  void Take(const Event& event) override { events.push_back(event); }
  std::vector<Event> events;
};

std::string TemporaryPath() {
  const char* folder = getenv("TEST_TMPDIR");
  static int count = 0;
  return std::string(folder != nullptr ? folder : "/tmp") + "/log" + std::to_string(getpid()) +
         "." + std::to_string(count++);
}

std::string Slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void Spill(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

Event RandomEvent(std::mt19937_64& random) {
  Event event;
  event.kind = static_cast<EventKind>(1 + random() % 9);
  event.call = static_cast<Call>(random() % kCallCount);
  event.flags = static_cast<uint8_t>(random());
  event.process = static_cast<uint32_t>(random() % 5);
  event.thread = static_cast<uint32_t>(random() % 7);
  event.pid = static_cast<int32_t>(random());
  event.tid = static_cast<int32_t>(random());
  event.seq = random();
  event.time = static_cast<Nanos>(random() >> 1);
  event.stack = static_cast<uint32_t>(random());
  event.fd = static_cast<int>(random());
  event.result = static_cast<int64_t>(random());
  event.err = static_cast<int>(random() % 200);
  event.a = random(), event.b = random(), event.c = random();
  for (uint64_t i = random() % 3; i > 0; --i) {
    event.blobs.emplace_back(BlobTag::kPath,
                             std::string(random() % 100, static_cast<char>(random())));
  }
  return event;
}

std::string WriteLog(const std::vector<Event>& events) {
  std::string path = TemporaryPath();
  auto writer = EventLogWriter::Create(path);
  EXPECT_TRUE(writer.ok()) << writer.status();
  for (const Event& event : events) {
    (*writer)->Take(event);
    if (event.seq % 50 == 0) {
      EXPECT_TRUE((*writer)->Flush(false).ok());
    }
  }
  EXPECT_TRUE((*writer)->Flush(true).ok());
  return path;
}

void ExpectSame(const Event& a, const Event& b) {
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.call, b.call);
  EXPECT_EQ(a.flags, b.flags);
  EXPECT_EQ(a.process, b.process);
  EXPECT_EQ(a.thread, b.thread);
  EXPECT_EQ(a.pid, b.pid);
  EXPECT_EQ(a.tid, b.tid);
  EXPECT_EQ(a.seq, b.seq);
  EXPECT_EQ(a.time, b.time);
  EXPECT_EQ(a.stack, b.stack);
  EXPECT_EQ(a.fd, b.fd);
  EXPECT_EQ(a.result, b.result);
  EXPECT_EQ(a.err, b.err);
  EXPECT_EQ(a.a, b.a);
  EXPECT_EQ(a.b, b.b);
  EXPECT_EQ(a.c, b.c);
  EXPECT_EQ(a.blobs, b.blobs);
}

std::vector<Event> RandomEvents(size_t count) {
  auto seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  std::vector<Event> events;
  for (size_t i = 0; i < count; ++i) events.push_back(RandomEvent(random));
  return events;
}

TEST(EventLog, GivesBackWhatWasWritten) {
  std::vector<Event> events = RandomEvents(3000);
  Keeper keeper;
  ASSERT_TRUE(ReadEventLog(WriteLog(events), &keeper).ok());
  ASSERT_EQ(keeper.events.size(), events.size());
  for (size_t i = 0; i < events.size(); ++i) ExpectSame(events[i], keeper.events[i]);
}

TEST(EventLog, ReadsAFileThatIsCutShortUpToThere) {
  std::string bytes = Slurp(WriteLog(RandomEvents(500)));
  std::string path = TemporaryPath();
  size_t before = 0;
  for (size_t length = 20; length < bytes.size(); length += 97) {
    Spill(path, bytes.substr(0, length));
    Keeper keeper;
    EXPECT_EQ(ReadEventLog(path, &keeper).code(), absl::StatusCode::kDataLoss);
    EXPECT_GE(keeper.events.size(), before);
    before = keeper.events.size();
  }
  EXPECT_GT(before, 0u);
}

TEST(EventLog, NeverCrashesOnDamage) {
  std::string bytes = Slurp(WriteLog(RandomEvents(200)));
  auto seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  std::string path = TemporaryPath();
  for (int i = 0; i < 300; ++i) {
    std::string damaged = bytes;
    damaged[20 + random() % (damaged.size() - 20)] ^= static_cast<char>(1 + random() % 255);
    Spill(path, damaged);
    Keeper keeper;
    EXPECT_FALSE(ReadEventLog(path, &keeper).ok());
  }
}

TEST(EventLog, SaysWhatIsWrongWithOtherFiles) {
  Keeper keeper;
  EXPECT_EQ(ReadEventLog("/no/such/file", &keeper).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadEventLog("/dev/null", &keeper).code(), absl::StatusCode::kInvalidArgument);
  std::string path = WriteLog({});
  std::string bytes = Slurp(path);
  bytes[15] = 99;
  Spill(path, bytes);
  EXPECT_EQ(ReadEventLog(path, &keeper).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(EventLog, ReportsAFullDisk) {
  auto writer = EventLogWriter::Create("/dev/full");
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ((*writer)->Flush(true).code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace ipctrace

// The analyzer's parts, each alone: merging threads' records, replaying events into the model with
// and without the rules, the kept trace, and turning stacks into lines. tools/bench.py measures the
// whole.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include <string>
#include <vector>

#include "analyzer/analysis.h"
#include "analyzer/events/log.h"
#include "analyzer/findings/store.h"
#include "analyzer/live/follower.h"
#include "analyzer/symbols/stacks.h"
#include "analyzer/symbols/testing.h"
#include "benchmark/benchmark.h"
#include "preload/trace/session_file.h"

namespace ipctrace {
namespace {

class NullSink : public EventSink {
 public:
  void Take(const Event& event) override { benchmark::DoNotOptimize(event.time); }
};

std::string TemporaryPath(const char* name) {
  const char* folder = getenv("TEST_TMPDIR");
  return std::string(folder != nullptr ? folder : "/tmp") + "/" + name + std::to_string(getpid());
}

// --- The merge -----------------------------------------------------------------------------------

// Threads that write and read one byte in turn, as they would have left it: complete records.
class WrittenSession {
 public:
  WrittenSession(uint32_t threads, uint32_t chunks_each) : path_(TemporaryPath("parts-session")) {
    unlink(path_.c_str());
    std::string error;
    header_ =
        CreateSession(path_, (threads * chunks_each + 16) * kChunkSize, ClockKind::kTsc, &error);
    if (header_ == nullptr) abort();
    fd_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    uint64_t time = __rdtsc();
    for (uint32_t turn = 0; turn < chunks_each; ++turn) {
      for (uint32_t i = 0; i < kRecordsPerChunk; ++i) {
        for (uint32_t thread = 0; thread < threads; ++thread) {
          ChunkHeader* chunk = SessionChunk(
              header_, SlotChunk(SlotFor(header_, turn * threads + thread, header_->chunk_count).load()));
          if (i == 0) {
            chunk->process = 1;
            chunk->thread = thread + 1;
            chunk->pid = chunk->tid = getpid();
            chunk->first_seq = turn * kRecordsPerChunk;
            chunk->lap.store(1);
          }
          Record& record = ChunkRecords(chunk)[i];
          record.enter = ++time;
          record.leave = ++time;
          record.fd = static_cast<int32_t>(3 + i % 2);
          record.result = 1;
          record.a = 1;
          const Call call = i % 2 == 0 ? Call::read : Call::write;
          record.head.store(Head(static_cast<uint16_t>(call), 0, RecordState::kReturned));
        }
      }
    }
    header_->claimed.store(uint64_t{threads} * chunks_each);
  }
  ~WrittenSession() {
    UnmapSession(header_);
    close(fd_);
    unlink(path_.c_str());
  }
  SessionHeader* header() { return header_; }
  int fd() const { return fd_; }

 private:
  std::string path_;
  SessionHeader* header_;
  int fd_;
};

void Merge(benchmark::State& state) {
  const auto threads = static_cast<uint32_t>(state.range(0));
  const uint32_t chunks = 512 / threads;
  const TraceClock clock(ClockKind::kTsc);
  NullSink sink;
  for (auto _ : state) {
    state.PauseTiming();
    WrittenSession session(threads, chunks);
    Follower follower(session.header(), session.fd(), &clock);
    state.ResumeTiming();
    follower.Drain(&sink);
  }
  state.SetItemsProcessed(state.iterations() * threads * chunks * kRecordsPerChunk);
}
BENCHMARK(Merge)->Arg(1)->Arg(8)->Arg(64)->Unit(benchmark::kMillisecond);

// --- The model and the rules
// -----------------------------------------------------------------------

Event EventOf(Call call, uint64_t seq) {
  Event event;
  event.call = call;
  event.process = event.thread = 1;
  event.pid = event.tid = 100;
  event.seq = seq;
  event.time = static_cast<Nanos>(1000 + 400 * seq);
  return event;
}

void Return(const Event& entered, std::vector<Event>* events) {
  Event event = entered;
  event.kind = EventKind::kLeave;
  event.time += 200;
  event.blobs.clear();
  events->push_back(std::move(event));
}

// One process that makes a pipe and has been writing and reading a byte at a time ever since.
std::vector<Event> PipeEvents(uint64_t records) {
  std::vector<Event> events;
  Event hello = EventOf(Call::fact_hello, 0);
  hello.b = kHelloFirst;
  events.push_back(hello);
  Return(hello, &events);
  Event pipe = EventOf(Call::pipe, 1);
  events.push_back(pipe);
  pipe.a = 3, pipe.b = 4, pipe.c = 77;
  Return(pipe, &events);
  for (uint64_t seq = 2; seq < records; ++seq) {
    Event call = EventOf(seq % 2 == 0 ? Call::write : Call::read, seq);
    call.fd = seq % 2 == 0 ? 4 : 3;
    call.a = 1;
    events.push_back(call);
    call.result = 1;
    Return(call, &events);
  }
  return events;
}

constexpr uint64_t kRecords = 100'000;

void Replay(benchmark::State& state) {
  const std::vector<Event> events = PipeEvents(kRecords);
  const bool rules = state.range(0) != 0;
  for (auto _ : state) {
    Stacks stacks;
    FindingStore store(&stacks, &RegisteredRules());
    Analysis analysis(&stacks, &store, [&](std::string_view) { return rules; });
    for (const Event& event : events) analysis.Take(event);
    benchmark::DoNotOptimize(analysis.model().now());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRecords));
}
BENCHMARK(Replay)->ArgName("rules")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

// --- The kept trace
// --------------------------------------------------------------------------------

std::string WriteLog(const std::vector<Event>& events) {
  std::string path = TemporaryPath("parts-log");
  auto log = EventLogWriter::Create(path);
  if (!log.ok()) abort();
  for (const Event& event : events) (*log)->Take(event);
  if (!(*log)->Flush(/*finish=*/true).ok()) abort();
  return path;
}

void LogWrite(benchmark::State& state) {
  const std::vector<Event> events = PipeEvents(kRecords);
  std::string path;
  for (auto _ : state) path = WriteLog(events);
  unlink(path.c_str());
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRecords));
}
BENCHMARK(LogWrite)->Unit(benchmark::kMillisecond);

void LogRead(benchmark::State& state) {
  const std::string path = WriteLog(PipeEvents(kRecords));
  NullSink sink;
  for (auto _ : state) {
    if (!ReadEventLog(path, &sink).ok()) abort();
  }
  unlink(path.c_str());
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRecords));
}
BENCHMARK(LogRead)->Unit(benchmark::kMillisecond);

// --- Stacks
// ------------------------------------------------------------------------------------------

constexpr char kProgram[] =
    "void capture(void);\n"
    "static void __attribute__((noinline)) deep(int n) {\n"
    "  if (n > 0) deep(n - 1);\n"
    "  else capture();\n"
    "  __asm__ volatile(\"\" : : : \"memory\");\n"
    "}\n"
    "int main(void) { deep(8); return 0; }\n";

// One stack after another of the same place: unwinding, and names from what is known of the module.
void Symbolize(benchmark::State& state) {
  const Capture capture = CaptureStacks(kProgram);
  if (capture.stacks.empty()) {
    state.SkipWithError("no stack was captured");
    return;
  }
  Stacks stacks;
  stacks.SetModules(1, capture.modules);
  uint32_t id = 0;
  for (auto _ : state) {
    stacks.Add(++id, 1, capture.stacks[0]);
    benchmark::DoNotOptimize(stacks.Frames(id).size());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(Symbolize)->Unit(benchmark::kMicrosecond);

// The first stack of a program: its debug information is opened and read.
void SymbolizeFirst(benchmark::State& state) {
  const Capture capture = CaptureStacks(kProgram);
  if (capture.stacks.empty()) {
    state.SkipWithError("no stack was captured");
    return;
  }
  for (auto _ : state) {
    Stacks stacks;
    stacks.SetModules(1, capture.modules);
    stacks.Add(1, 1, capture.stacks[0]);
    benchmark::DoNotOptimize(stacks.Frames(1).size());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(SymbolizeFirst)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace ipctrace

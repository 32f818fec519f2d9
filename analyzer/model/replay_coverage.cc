// What was seen of the run, beside what the kernel says of it. A program can make system calls of
// its own, past libc; then the two differ, and the run must not be called clean.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/replay.h"

namespace ipctrace {
namespace {

constexpr size_t kExamples = 5;

// The calls whose bytes the kernel counts as written: not send(2) and its kin, nor splice(2).
struct Counted {
  bool by_call[kCallCount];
  Counted() {
    for (size_t i = 0; i < kCallCount; ++i) {
      const absl::string_view name = NameOf(static_cast<Call>(i));
      by_call[i] = !(absl::StartsWith(name, "send") && !absl::StartsWith(name, "sendfile")) &&
                   !absl::StrContains(name, "splice") && name != "tee";
    }
  }
};

}  // namespace

uint64_t Replay::WrittenBy(const Act& act) {
  static const Counted counted;
  switch (act.op) {
    case Op::kWrite:
    case Op::kWriteAt:
    case Op::kTransfer:
      return act.result > 0 && counted.by_call[static_cast<size_t>(act.call)]
                 ? static_cast<uint64_t>(act.result)
                 : 0;
    case Op::kStreamWrite:
    case Op::kStreamSeek:
    case Op::kStreamClose:
    case Op::kPclose:
    case Op::kLibrary:
      return act.b;
    default:
      return 0;
  }
}

void Replay::Unfinished(const Act& act) {
  switch (act.op) {
    case Op::kWrite:
    case Op::kWriteAt:
      m.coverage_.written += act.a;
      break;
    case Op::kTransfer:
      m.coverage_.written += act.b;
      break;
    case Op::kStreamRead:  // may have flushed another stream
    case Op::kStreamWrite:
    case Op::kStreamSeek:
    case Op::kStreamClose:
    case Op::kStreamReopen:
    case Op::kPclose:
      m.coverage_.written_known = false;
      break;
    default:
      break;
  }
}

void Replay::Missed(const Process& process, int fd, uint64_t* count) {
  ++*count;
  if (m.coverage_.missed.size() < kExamples) {
    m.coverage_.missed.push_back(absl::StrCat(Describe(process), " fd ", fd));
  }
}

void Replay::CompareNumbers(const Act& act) {
  const Process& process = *act.process;
  if (process.threads.size() != 1) return;
  // A handler may have ended the process in the middle of a call that opens or closes.
  const auto& open = process.threads.front()->open;
  if (std::any_of(open.begin(), open.end(), [&](const auto& each) {
        return each.get() != &act && each->op != Op::kExitBegin;
      })) {
    return;
  }
  const uint64_t words[] = {act.a, act.b};
  for (int fd = 0; fd < 128; ++fd) {
    const bool there = (words[fd / 64] >> fd % 64 & 1) != 0;
    const bool known = process.Find(fd) != nullptr;
    if (there != known)
      Missed(process, fd, there ? &m.coverage_.missed_births : &m.coverage_.missed_deaths);
  }
}

}  // namespace ipctrace

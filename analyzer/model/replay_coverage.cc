// What was seen of the run, beside what the kernel says of it. A program can make system calls of
// its own, past libc; then the two differ, and the run must not be called clean.
#include <fcntl.h>

#include <algorithm>
#include <bit>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/replay.h"

namespace ipctrace {
namespace {

constexpr size_t kExamples = 5;

// What the kernel and the loader read of a new program at most: its head, those of its
// interpreters, of the loader and of every library. The library looks at them too
// (preload/exec_target.cc).
constexpr uint64_t kReadOfImage = 8192;
constexpr uint64_t kReadOfModule = 2048;

// The calls whose bytes the kernel counts: not those of send(2) and recv(2), nor of splice(2).
struct Counted {
  bool by_call[kCallCount];
  Counted() {
    for (size_t i = 0; i < kCallCount; ++i) {
      const absl::string_view name = NameOf(static_cast<Call>(i));
      by_call[i] = !(absl::StartsWith(name, "send") && !absl::StartsWith(name, "sendfile")) &&
                   !absl::StrContains(name, "recv") && !absl::StrContains(name, "splice") &&
                   name != "tee";
    }
  }
};

bool IsCounted(Call call) {
  static const Counted counted;
  return counted.by_call[static_cast<size_t>(call)];
}

// Those whose stream holds wide characters, which become bytes at the end of the process too.
bool IsWide(Call call) {
  const absl::string_view name = NameOf(call);
  return absl::StrContains(name, "wc") || absl::StrContains(name, "wprintf") ||
         absl::StrContains(name, "fputws") || name == "__woverflow";
}

}  // namespace

void Replay::Count(const Act& act) {
  Coverage& seen = m.coverage_;
  const uint64_t moved = act.result > 0 ? static_cast<uint64_t>(act.result) : 0;
  switch (act.op) {
    case Op::kRead:
    case Op::kReadAt:
      if (IsCounted(act.call)) seen.read += moved;
      break;
    case Op::kWrite:
    case Op::kWriteAt:
      if (IsCounted(act.call)) seen.written += moved;
      break;
    case Op::kTransfer:
      if (!IsCounted(act.call)) break;
      seen.read += moved;
      seen.written += moved;
      break;
    case Op::kStreamRead:
      seen.read += act.b;
      if ((act.flags & kRecordInexact) != 0) seen.read_known = false;
      break;
    case Op::kStreamSeek:  // fills the buffer where it goes
      seen.read_known = false;
      seen.written += act.b;
      break;
    case Op::kStreamWrite:
      if ((act.flags & kRecordInexact) != 0 || IsWide(act.call)) seen.written_known = false;
      seen.written += act.b;
      break;
    case Op::kStreamClose:
    case Op::kPclose:
      seen.written += act.b;
      break;
    case Op::kStreamReopen:
      seen.written += act.c;
      break;
    case Op::kLibrary:
      seen.read_known = false;
      if (act.c != 0) seen.written_known = false;
      if (act.call == Call::fact_inside) act.process->libc_keeps = true;
      seen.written += act.b;
      break;
    case Op::kModules:
      seen.read_known = false;
      break;
    case Op::kExec:  // came back: it was no program
    case Op::kSpawn:
    case Op::kSystem:
    case Op::kPopen:
      seen.read += kReadOfImage;
      break;
    default:
      break;
  }
}

void Replay::CountImage(const Act& hello, bool first) {
  Coverage& seen = m.coverage_;
  // Valgrind and the sanitizers have work of their own.
  if ((hello.b & kHelloOwnCalls) != 0) seen.written_known = false;
  if (first) {
    seen.read_before = hello.c;
    seen.read_known = hello.c != 0;
    return;
  }
  const std::string* modules = hello.Blob(BlobTag::kModules);
  const auto count = modules == nullptr ? 0 : std::count(modules->begin(), modules->end(), '\n');
  seen.read += kReadOfImage + static_cast<uint64_t>(count) * kReadOfModule;
}

void Replay::Unfinished(const Act& act) {
  switch (act.op) {
    case Op::kRead:
    case Op::kReadAt:
      m.coverage_.read += act.a;
      break;
    case Op::kWrite:
    case Op::kWriteAt:
      m.coverage_.written += act.a;
      break;
    case Op::kTransfer:
      m.coverage_.read += act.b;
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
    case Op::kSpawn:
    case Op::kSystem:
    case Op::kPopen:
    case Op::kLibrary:
      m.coverage_.read_known = false;
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
  // Another thread may open or close at this very time.
  if (process.threads.size() != 1 || process.threads_to_come > 0) return;
  // A handler may have ended the process in the middle of a call that opens or closes.
  const auto& open = process.threads.front()->open;
  if (std::any_of(open.begin(), open.end(), [&](const auto& each) {
        return each.get() != &act && each->op != Op::kExitBegin;
      })) {
    return;
  }
  const uint64_t there[] = {act.a, act.b};
  uint64_t known[] = {0, 0};
  for (const auto& [fd, descriptor] : process.table) {
    if (fd >= 128) break;
    if (fd < 0) continue;
    const uint64_t bit = uint64_t{1} << fd % 64;
    // Which are open was asked by poll, which takes no notice of one that stands for a path alone.
    const bool is_path = (descriptor->description->status_flags & O_PATH) != 0;
    known[fd / 64] |= is_path ? there[fd / 64] & bit : bit;
  }
  for (int word = 0; word < 2; ++word) {
    for (uint64_t differ = there[word] ^ known[word]; differ != 0; differ &= differ - 1) {
      const int bit = std::countr_zero(differ);
      const bool is_there = (there[word] >> bit & 1) != 0;
      // libc keeps some files open between two calls, which are not the program's.
      if (is_there && process.libc_keeps) continue;
      Missed(process, word * 64 + bit,
             is_there ? &m.coverage_.missed_births : &m.coverage_.missed_deaths);
    }
  }
}

}  // namespace ipctrace

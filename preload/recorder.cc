#include "preload/recorder.h"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <pthread.h>

#include "preload/raw.h"

namespace ipctrace {

__thread ThreadState* thread_state __attribute__((tls_model("initial-exec")));
constinit __thread Kept kept __attribute__((tls_model("initial-exec"))) = {};
constinit Record lost_record = {};
IPCTRACE_START_DATA constinit Session session = {};

namespace {

// Of the thread that starts the program.
IPCTRACE_START_DATA constinit ThreadState* first_state = nullptr;
constinit StackCache first_stacks = {};
// Of threads that cannot be traced, whose claims all go to lost_record.
constinit ThreadState untraced_state = {};
constinit StackCache untraced_stacks = {};

ThreadState* UntracedState() { return &untraced_state; }

IPCTRACE_START_CODE StackCache* StacksOf(ThreadState* thread) {
  if (thread == first_state) return &first_stacks;
  if (thread == UntracedState()) return &untraced_stacks;
  return reinterpret_cast<StackCache*>(thread + 1);
}

// pointer << 16 | a tag that changes with every pop
IPCTRACE_START_DATA constinit std::atomic<uint64_t> free_states = 0;

class SignalsBlocked {
 public:
  SignalsBlocked() {
    const uint64_t all = ~uint64_t{0};
    Raw(SYS_rt_sigprocmask, SIG_SETMASK, Address(&all), Address(&old_), sizeof(old_));
  }
  ~SignalsBlocked() {
    Raw(SYS_rt_sigprocmask, SIG_SETMASK, Address(&old_), 0, sizeof(old_));
  }

 private:
  uint64_t old_;
};

int64_t Milliseconds() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1000000;
}

// A thread that has had so many chunks will need many more.
constexpr uint64_t kFewChunks = 4;

enum class Slot { kReady, kLate, kNobody };

// Waits for a ring slot to be filled under `lap`. kLate: we were stopped for so long that the
// analyzer gave the ticket up and the slot is in a later lap. kNobody: there is no analyzer any
// more.
Slot WaitForChunk(const std::atomic<uint64_t>& slot, uint64_t lap) {
  if (restrained) {  // it cannot sleep, and not for ever do this
    for (int i = 0; i < 1000000 && SlotLap(slot.load(std::memory_order_acquire)) < lap; ++i) {
      __builtin_ia32_pause();
    }
    const uint64_t found = SlotLap(slot.load(std::memory_order_acquire));
    return found == lap ? Slot::kReady : found > lap ? Slot::kLate : Slot::kNobody;
  }
  SessionHeader* const header = session.header;
  uint32_t beat = header->heartbeat.load();
  int64_t last_sign = Milliseconds();
  Slot result = Slot::kNobody;
  header->starving.fetch_add(1);
  for (;;) {
    const uint32_t seen = header->freed_futex.load();
    const uint64_t found = SlotLap(slot.load(std::memory_order_acquire));
    if (found >= lap) {
      result = found == lap ? Slot::kReady : Slot::kLate;
      break;
    }
    if (header->analyzer_state.load() == static_cast<uint32_t>(AnalyzerState::kGone)) break;
    timespec wait = {0, 100000000};
    Raw(SYS_futex, Address(&header->freed_futex), FUTEX_WAIT, seen, Address(&wait));
    // By the clock: every chunk that comes free wakes all who wait, so the rounds tell no time.
    const int64_t now = Milliseconds();
    if (header->heartbeat.load() != beat) {
      beat = header->heartbeat.load();
      last_sign = now;
    } else if (now - last_sign >= 10000 ||
               (now - last_sign >= 1000 && Raw(SYS_kill, header->analyzer_pid, 0) == -ESRCH)) {
      header->analyzer_state.store(static_cast<uint32_t>(AnalyzerState::kGone));
      break;
    }
  }
  header->starving.fetch_sub(1);
  return result;
}

// The cursor that this thread alone uses.
uint64_t& OwnCursor(ThreadState* thread) {
  return thread->shared ? thread->id.shared_cursor : thread->id.cursor;
}

// Reads before anything is written there: on a read fault the kernel maps the neighbouring pages of
// the file as well, on a write fault the one page. Each costs to map and again when the process
// ends: it pays where many chunks will be used.
IPCTRACE_INLINE void TouchShared(const void* memory) {
  (void)*static_cast<const volatile char*>(memory);
}

// Whether what the analyzer and we agree upon can be relied on: a program may scribble over all the
// memory it has, ours too.
bool IsIntact(uint64_t ticket, uint64_t slot) {
  constexpr uint64_t kMostWaiting = uint64_t{1} << 24;
  const SessionHeader* const header = session.header;
  return header->magic == kSessionMagic && SlotChunk(slot) < session.chunk_count &&
         ticket - header->freed.load() + kMostWaiting < 2 * kMostWaiting;
}

IPCTRACE_START_CODE bool TakeChunk(ThreadState* thread) {
  SessionHeader* const header = session.header;
  uint64_t lap = thread->wanted_chunk >> 32;
  auto chunk = static_cast<uint32_t>(thread->wanted_chunk);
  while (thread->wanted_chunk == 0) {
    const uint64_t ticket = header->claimed.fetch_add(1);
    lap = ticket / session.chunk_count + 1;
    const std::atomic<uint64_t>& slot = SlotFor(header, ticket, session.chunk_count);
    uint64_t found = slot.load(std::memory_order_acquire);
    if (!IsIntact(ticket, found)) {
      header->analyzer_state.store(static_cast<uint32_t>(AnalyzerState::kGone));
      return false;
    }
    if (SlotLap(found) != lap) {
      const Slot waited = WaitForChunk(slot, lap);
      if (waited == Slot::kNobody) return false;
      found = slot.load(std::memory_order_acquire);
    }
    if (SlotLap(found) != lap) continue;
    chunk = SlotChunk(found);
    break;
  }
  char* const memory = session.chunks + uint64_t{chunk} * kChunkSize;
  const uint32_t from_last = session.chunk_count - 1 - chunk;
  if (lap == 1 && from_last >= session.populated && from_last >= header->populated.load()) {
    // It has no pages yet. Old kernels know no MADV_POPULATE_WRITE: EINVAL; whatever else goes
    // wrong is a full disk, on which a plain store would be our death.
    const long populated = Raw(SYS_madvise, Address(memory), kChunkSize, MADV_POPULATE_WRITE);
    if (populated != 0 && populated != -EINVAL) {
      thread->wanted_chunk = lap << 32 | chunk;
      return false;
    }
  } else if (thread->id.next_seq >= kFewChunks * kRecordsPerChunk) {
    TouchShared(memory);
  }
  thread->wanted_chunk = 0;
  auto* const top = reinterpret_cast<ChunkHeader*>(memory);
  top->process = thread->id.process;
  top->thread = thread->id.thread;
  top->pid = thread->id.pid;
  top->tid = thread->id.tid;
  top->first_seq = thread->id.next_seq;
  top->lap.store(static_cast<uint32_t>(lap), std::memory_order_release);
  thread->id.next_seq += kRecordsPerChunk;
  OwnCursor(thread) = uint64_t{chunk} << 32 | (kCursorBias + kRecordSize);
  return true;
}

bool HasSpace(ThreadState* thread) {
  const uint32_t offset = static_cast<uint32_t>(OwnCursor(thread)) - kCursorBias;
  return offset - kRecordSize < kChunkSize - kRecordSize;
}

// In a forked child, with signals blocked.
IPCTRACE_START_CODE void TakeChildIdentity(ThreadState* thread) {
  const Kept parent = kept;
  kept.fork_seq = kNoFork;
  TouchShared(session.header);
  // Written only where it changes: or the page would have to be copied.
  if (session.first_of_bare) session.first_of_bare = false;
  if (session.child_of_threads != session.threaded) session.child_of_threads = session.threaded;
  BecomeProcess(thread, static_cast<int32_t>(Raw(SYS_getpid)));
  if (!TakeChunk(thread)) return;
  Fact start(thread, Call::fact_child_start, -1);
  start->result = Raw(SYS_getppid);
  start->a = parent.process;
  start->b = parent.thread;
  start->c = parent.fork_seq;
  start.Done();
}

}  // namespace

IPCTRACE_START_CODE void TakeIdentity(ThreadState* thread, uint32_t process, int32_t pid,
                                      int32_t tid) {
  OwnCursor(thread) = kFullCursor;
  thread->id.cursor = kFullCursor;
  thread->id.next_seq = 0;
  thread->id.pid = pid;
  thread->id.tid = tid;
  thread->id.thread = session.header->next_thread.fetch_add(1);
  thread->id.process = process;
  kept.process = process;
  kept.thread = thread->id.thread;
}

IPCTRACE_START_CODE uint32_t BecomeProcess(ThreadState* thread, int32_t pid) {
  const uint32_t process = session.header->next_process.fetch_add(1);
  first_state->of_process = process;
  TakeIdentity(thread, process, pid, pid);
  return process;
}

uint32_t ProcessId() { return first_state->of_process; }

void ShareState(ThreadState* thread) {
  if (thread == UntracedState() || thread->shared) return;
  SignalsBlocked blocked;
  thread->id.shared_cursor = thread->id.cursor;
  thread->id.cursor = kFullCursor;
  thread->shared = true;
}

namespace {
IPCTRACE_START_CODE bool IsOther(const ThreadState* thread) {
  return thread->shared && static_cast<int32_t>(Raw(SYS_gettid)) != thread->id.tid;
}
}  // namespace

IPCTRACE_START_CODE Record* ClaimSlow(ThreadState* thread) {
  if (thread == UntracedState() || IsOther(thread)) {
    thread->id.cursor = kFullCursor;
    return &lost_record;
  }
  SessionHeader* const header = session.header;
  if (header->analyzer_state.load(std::memory_order_relaxed) ==
      static_cast<uint32_t>(AnalyzerState::kGone)) {
    thread->id.cursor = kFullCursor;
    header->lost.fetch_add(1);
    return &lost_record;
  }
  if ((restrained && thread->id.process == 0) || session.clock_end != 0) {
    thread->id.cursor = kFullCursor;
    header->lost.fetch_add(1);
    return &lost_record;
  }
  SignalsBlocked blocked;
  if (thread->id.process == 0) TakeChildIdentity(thread);
  if (!HasSpace(thread) && !TakeChunk(thread)) {
    thread->id.cursor = kFullCursor;
    header->lost.fetch_add(1);
    return &lost_record;
  }
  const uint64_t cursor = OwnCursor(thread);
  OwnCursor(thread) = cursor + kRecordSize;
  if (thread->shared) thread->id.cursor = kFullCursor;
  return reinterpret_cast<Record*>(session.chunks + (cursor >> 32) * kChunkSize +
                                   (static_cast<uint32_t>(cursor) - kCursorBias));
}

IPCTRACE_START_CODE void BecomeChild() {
  ThreadState* const thread = thread_state;
  if (restrained) return;  // it could not even learn its pid
  if (thread == nullptr || thread == UntracedState()) return;
  // The page was wiped: to write to it first is one fault, to read from it first would be two.
  __asm__ volatile("addl $0, %0" : "+m"(thread->id.process) : : "cc");
  if (thread->id.process != 0) return;
  SignalsBlocked blocked;
  TakeChildIdentity(thread);
}

namespace {
// Memory for a state, and what is to lie behind it.
IPCTRACE_START_CODE ThreadState* MapState(size_t bytes) {
  // MAP_NORESERVE, or the kernel would make it one mapping with what lies beside it, which it would
  // have to divide again.
  const long memory = Raw(SYS_mmap, 0, static_cast<long>(bytes), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory < 0 && memory > -4096) return nullptr;
  Raw(SYS_madvise, memory, sizeof(ThreadState), 18 /* MADV_WIPEONFORK */);
  auto* const state = reinterpret_cast<ThreadState*>(memory);
  state->id.cursor = kFullCursor;
  return state;
}
}  // namespace

IPCTRACE_START_CODE ThreadState* NewThreadState() {
  uint64_t head = free_states.load(std::memory_order_acquire);
  while (head >> 16 != 0) {
    auto* const state = reinterpret_cast<ThreadState*>(head >> 16);
    const uint64_t rest = state->next_free.load(std::memory_order_relaxed);
    if (free_states.compare_exchange_weak(head, rest << 16 | ((head + 1) & 0xFFFF))) {
      memset(&state->id, 0, sizeof(state->id));
      state->shared = false;
      memset(state->open, 0, sizeof(state->open));
      // Where callers lay as well: another thread's stack may end elsewhere.
      memset(StacksOf(state), 0, offsetof(StackCache, scratch));
      state->end_calls = 0;
      return state;
    }
  }
  return MapState(sizeof(ThreadState) + sizeof(StackCache));
}

IPCTRACE_START_CODE ThreadState* FirstThreadState() {
  return first_state = MapState(sizeof(ThreadState));
}

IPCTRACE_START_CODE void Adopt(ThreadState* thread) {
  thread_state = thread;
  kept.stacks = StacksOf(thread);
}

void FreeThreadState(ThreadState* thread) {
  uint64_t head = free_states.load(std::memory_order_relaxed);
  do {
    thread->next_free.store(head >> 16, std::memory_order_relaxed);
  } while (!free_states.compare_exchange_weak(
      head, reinterpret_cast<uint64_t>(thread) << 16 | (head & 0xFFFF), std::memory_order_release));
}

ThreadState* ThisThreadSlow() {
  if (!session.started) Start(0, nullptr, nullptr);
  if (thread_state != nullptr) return thread_state;
  if (session.chunks == nullptr) {
    Adopt(UntracedState());
    return thread_state;
  }
  SignalsBlocked blocked;
  ThreadState* const thread = NewThreadState();
  if (thread == nullptr) {
    kept.stacks = &untraced_stacks;
    return UntracedState();
  }
  TakeIdentity(thread, ProcessId(), static_cast<int32_t>(Raw(SYS_getpid)),
               static_cast<int32_t>(Raw(SYS_gettid)));
  Adopt(thread);
  Fact start(thread, Call::fact_thread_start, -1);
  start->a = reinterpret_cast<uint64_t>(__builtin_thread_pointer());
  start.Done();
  return thread;
}

void AbandonDeeper(ThreadState* thread, uint64_t sp) {
  if (IsOther(thread)) return;
  stack_t alternate = {};
  Raw(SYS_sigaltstack, 0, Address(&alternate));
  const uint64_t low = reinterpret_cast<uint64_t>(alternate.ss_sp);
  const bool on_alternate = sp - low <= alternate.ss_size && alternate.ss_size != 0;
  while (thread->id.depth != 0) {
    const uint32_t last = thread->id.depth - 1;
    const OpenCall open = thread->open[last];
    const bool was_on_alternate = open.sp - low <= alternate.ss_size && alternate.ss_size != 0;
    // What a handler calls has a lower stack pointer than the call that it interrupted: one that is
    // equal was left. A handler on the alternate stack runs inside the call it interrupted; a call
    // on the alternate stack is over when its thread is back on the other.
    if (on_alternate != was_on_alternate ? on_alternate : open.sp > sp) break;
    Record* const record = open.record;
    if (record != nullptr && record != &lost_record) {
      if (record->c == kCountedStream) reinterpret_cast<FILE*>(record->a)->_offset = -1;
      const uint32_t head = record->head.load(std::memory_order_relaxed);
      record->head.store(Head(HeadCall(head), HeadFlags(head), RecordState::kReturning));
      record->leave = Now();
      record->head.store(Head(HeadCall(head), HeadFlags(head), RecordState::kAbandoned),
                         std::memory_order_release);
    }
    thread->open[last].record = nullptr;
    thread->id.depth = last;
  }
}

IPCTRACE_START_CODE Act::Act(Call call, int fd, uint8_t flags, uint64_t return_address,
                             uint64_t sp)
    : thread_(ThisThread()), index_(thread_->id.depth), call_(call), flags_(flags) {
  if (index_ != 0) {
    AbandonDeeper(thread_, sp);
    index_ = thread_->id.depth;
    if (index_ != 0) flags_ |= kRecordInSignal;
  }
  if (__builtin_expect(session.untold, 0)) TellBefore(call, fd);
  Record* const record = Claim(thread_);
  record_ = record;
  record->head.store(Head(static_cast<uint16_t>(call_), flags_, RecordState::kClaimed),
                     std::memory_order_relaxed);
  __asm__ volatile("" : : : "memory");
  record->enter = Now();
  record->fd = fd;
  if (record == &lost_record) {
    index_ = kMaxOpen;
    return;
  }
  if (index_ < kMaxOpen) {
    thread_->id.depth = index_ + 1;
    thread_->open[index_].sp = sp;
    thread_->open[index_].record = record;
  }
  // The next record's line is on its way from the analyzer's core while the call runs.
  __asm__ volatile("prefetchw %0" : : "m"(record[1]));
  if (IsLast(OpOf(call))) {
    record->stack = CopyStack(thread_, record, return_address, sp);
    return;
  }
  const uint64_t key = StackKey(call, return_address, sp);
  record->stack = NeedsExactStack(OpOf(call))
                      ? FindExactStack(thread_, record, key, return_address, sp)
                      : FindStack(thread_, record, key, return_address, sp);
}

IPCTRACE_START_CODE bool Act::Return(long result) {
  if (index_ < kMaxOpen && thread_->open[index_].record != record_) {
    record_ = &lost_record;
    index_ = kMaxOpen;
    return false;
  }
  record_->head.store(Head(static_cast<uint16_t>(call_), flags_, RecordState::kReturning),
                      std::memory_order_relaxed);
  __asm__ volatile("" : : : "memory");
  record_->leave = Now();
  record_->result = result;
  if (result == -1) {
    const bool exact = NeedsExactStack(OpOf(call_)) || index_ == kMaxOpen;
    RecordFailure(thread_, record_, exact ? 0 : thread_->open[index_].sp);
  }
  return true;
}

IPCTRACE_START_CODE void BlobWriter::Next() {
  piece_ = reinterpret_cast<BlobRecord*>(Claim(thread_));
  piece_->owner = owner_;
  piece_->tag = tag_;
  piece_->offset = offset_;
  used_ = 0;
}

IPCTRACE_START_CODE void BlobWriter::Write(const void* data, size_t size) {
  const char* from = static_cast<const char*>(data);
  while (size != 0) {
    if (piece_ != nullptr && used_ == kBlobPieceBytes) {
      piece_->length = used_;
      piece_->head.store(
          Head(static_cast<uint16_t>(Call::fact_blob), 0, RecordState::kReturned),
          std::memory_order_release);
      piece_ = nullptr;
    }
    if (piece_ == nullptr) Next();
    const size_t part = size < kBlobPieceBytes - used_ ? size : kBlobPieceBytes - used_;
    memcpy(piece_->data + used_, from, part);
    used_ = static_cast<uint16_t>(used_ + part);
    offset_ += static_cast<uint32_t>(part);
    from += part;
    size -= part;
  }
}

IPCTRACE_START_CODE void BlobWriter::Finish() {
  if (piece_ == nullptr) Next();
  piece_->length = used_;
  piece_->head.store(
      Head(static_cast<uint16_t>(Call::fact_blob), kRecordBlobEnd, RecordState::kReturned),
      std::memory_order_release);
  piece_ = nullptr;
}

IPCTRACE_START_CODE void WriteBlob(ThreadState* thread, const Record* owner, BlobTag tag,
                                   const void* data, size_t size) {
  BlobWriter writer(thread, owner, tag);
  writer.Write(data, size);
  writer.Finish();
}

}  // namespace ipctrace

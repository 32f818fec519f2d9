// Writes records. Everything here may run in a signal handler, between fork and exec of a threaded
// program, and on a stack of a few hundred bytes: no lock, no malloc, no libc call, errno
// untouched.
//
// How a thread appends without being torn by its own signal handlers: `cursor` holds the number of
// the thread's chunk and the offset of its next free record in one word, and one xadd instruction
// (without LOCK: nobody else touches it) claims a slot and tells where it is. A handler that runs
// between any two instructions claims other slots, possibly in a new chunk, and takes nothing away.
//
// How a forked child learns that it is one: the page that holds `cursor` is MADV_WIPEONFORK, so in
// the child, whoever called fork (libc, syscall(2), an instruction of the program's own), it reads
// as 0, which is no valid offset. The first claim takes the slow path and there a new identity. It
// also wipes `open`: calls that a handler's fork interrupted are the parent's to complete.
//
// How records of calls that never return are found: the open calls of a thread stand in `open`,
// with the stack pointers of their callers. A call that finds one deeper than itself on the same
// stack knows that a longjmp or an exception left that one, and marks it kAbandoned.
//
// This library is compiled with -ffixed-rbx and so on: its code never touches the registers that a
// callee must preserve, so they hold the traced caller's values at any depth, ready to be copied
// for the analyzer's unwinder, without an instruction spent on it in calls that need no copy.
#ifndef IPCTRACE_PRELOAD_RECORDER_H_
#define IPCTRACE_PRELOAD_RECORDER_H_

#include <errno.h>
#include <time.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/session.h"
#include "preload/trace/calls.h"
#include "preload/trace/format.h"

#define IPCTRACE_INLINE inline __attribute__((always_inline))
#define IPCTRACE_COLD __attribute__((noinline, cold))

namespace ipctrace {

inline constexpr uint32_t kMaxOpen = 24;  // nested calls that are told apart
inline constexpr uint32_t kMaxVforks = 4;  // vforked children that vfork
// Offsets in `cursor` are biased, so that neither 0 nor a few records more is a valid one.
inline constexpr uint32_t kCursorBias = 0x80000000;
inline constexpr uint64_t kFullCursor = uint64_t{kCursorBias} + kChunkSize;
// As many of both as make one page: a short-lived process fills few of them, and each page that it
// touches costs it some 2 us.
inline constexpr uint64_t kStackCacheSize = 416;
inline constexpr uint64_t kCallerSlots = 64;
inline constexpr uint64_t kNoFork = ~uint64_t{0};

// What a thread is in the trace. A vforked child, which runs on its parent's memory, replaces it.
struct Identity {
  uint64_t cursor;    // chunk << 32 | offset of the next free record in it
  uint64_t shared_cursor;  // the same where ThreadState::shared; `cursor` is always full then
  uint64_t next_seq;  // number in its thread of the next chunk's first record
  uint32_t process;   // 0: a forked child that has not recorded yet
  uint32_t thread;
  int32_t pid;
  int32_t tid;
  uint32_t depth;   // entries of `open` in use
  uint32_t vforks;  // how many vforked children this one is, one in the other
};

struct OpenCall {
  uint64_t sp;     // the caller's stack pointer
  Record* record;  // nullptr: not to be completed
};

// One page, which is wiped in a forked child.
struct alignas(4096) ThreadState {
  Identity id;
  OpenCall open[kMaxOpen];
  struct {
    Identity id;
    Record* record;  // of the vfork; nullptr: none is under way
    OpenCall open[kMaxOpen];
  } saved[kMaxVforks];
  void* exec_memory;      // an environment that was built for an exec; see environment.h
  size_t exec_bytes;
  uint64_t wanted_chunk;  // chunk + 1 for which there was no disk space yet
  uint32_t of_process;    // ProcessId(), in the state of the thread that started the program
  bool scratch_used;
  bool shared;  // by what clone made on this thread's thread-local memory; see ShareState

  std::atomic<uint64_t> next_free;  // in the list of unused states
  void* (*start)(void*);            // what pthread_create was given
  int (*start_c11)(void*);
  void* start_argument;
  uint32_t creator;
  uint32_t end_calls;
};
static_assert(sizeof(ThreadState) == 4096);

// The stacks that a thread has in the trace. A forked child keeps them.
struct alignas(4096) StackCache {
  uint64_t ids[kStackCacheSize];  // tag << 32 | id
  uint64_t caller_masks[kCallerSlots];  // FindExactStack
  uint32_t caller_tags[kCallerSlots];
  char scratch[kStackCopyBytes];
};

// Field c of a stream's record while libc counts for it (StreamCount).
inline constexpr uint64_t kCountedStream = 0xC0047ED;

// What a forked child must know of the thread that forked it. In thread-local storage, since the
// kernel writes to that page in every child: it is copied anyway.
struct Kept {
  uint32_t process;  // in the trace
  uint32_t thread;
  uint64_t fork_seq = kNoFork;  // number of the kFork record that is open; kNoFork: none
  uint64_t stack_end;           // the thread's first frame; 0: not known
  StackCache* stacks;
};

extern __thread ThreadState* thread_state
    __attribute__((tls_model("initial-exec"), visibility("hidden")));
extern __thread Kept kept
    __attribute__((tls_model("initial-exec"), visibility("hidden")));
extern Record lost_record __attribute__((visibility("hidden")));

// The slow paths. ThisThreadSlow never returns nullptr; without a session or memory it returns a
// state whose records go nowhere.
ThreadState* ThisThreadSlow() IPCTRACE_COLD;
Record* ClaimSlow(ThreadState* thread) IPCTRACE_COLD;
void AbandonDeeper(ThreadState* thread, uint64_t sp) IPCTRACE_COLD;

// What descriptors are that were opened and not described (streams.h): before a call that is about
// to be recorded, of those that it uses; and of one, if that is still to be told.
void TellBefore(Call call, int fd) IPCTRACE_COLD;
void TellDescriptor(int fd) IPCTRACE_COLD;

// A state for a new thread, or nullptr. Identity and chunk come with its first record.
ThreadState* NewThreadState();
// The same for the thread that starts the program.
ThreadState* FirstThreadState();
void FreeThreadState(ThreadState* thread);
// Makes it the calling thread's.
void Adopt(ThreadState* thread);

// From now on another task may run on this thread's memory, its thread-local variables included, as
// clone(CLONE_VM) makes one without CLONE_SETTLS. Only the kernel can tell the two apart: every
// claim of this state asks it, and the other's calls go unrecorded.
void ShareState(ThreadState* thread);

// Makes a forked child's identity, and its kChildStart, if that is not done yet.
void BecomeChild();
// Makes this process, which runs in one thread yet, a new one in the trace. Returns its id.
uint32_t BecomeProcess(ThreadState* thread, int32_t pid);
uint32_t ProcessId();
// Gives the calling thread a thread id of its own, and no chunk yet. `tid` is the kernel's.
void TakeIdentity(ThreadState* thread, uint32_t process, int32_t pid, int32_t tid);

// The stack of a call: register values and the addresses near its top become a blob of the record.
// The second one remembers its id under `key`.
uint32_t CopyStack(ThreadState* thread, const Record* owner, uint64_t return_address,
                   uint64_t sp) IPCTRACE_COLD;
uint32_t CopyNewStack(ThreadState* thread, const Record* owner, uint64_t key,
                      uint64_t return_address, uint64_t sp) IPCTRACE_COLD;

IPCTRACE_INLINE ThreadState* ThisThread() {
  ThreadState* thread = thread_state;
  return __builtin_expect(thread != nullptr, 1) ? thread : ThisThreadSlow();
}

// The next record of the thread's chunk, or nullptr where the chunk is full or there is none.
IPCTRACE_INLINE Record* ClaimInChunk(ThreadState* thread) {
  uint64_t cursor = kRecordSize;
  __asm__ volatile("xaddq %0, %1" : "+r"(cursor), "+m"(thread->id.cursor) : : "memory", "cc");
  const uint32_t offset = static_cast<uint32_t>(cursor) - kCursorBias;
  if (__builtin_expect(offset - kRecordSize >= kChunkSize - kRecordSize, 0)) return nullptr;
  return reinterpret_cast<Record*>(session.chunks + (cursor >> 32) * kChunkSize + offset);
}

IPCTRACE_INLINE Record* Claim(ThreadState* thread) {
  Record* const record = ClaimInChunk(thread);
  return __builtin_expect(record != nullptr, 1) ? record : ClaimSlow(thread);
}

IPCTRACE_INLINE uint64_t Now() {
  if (__builtin_expect(session.tsc, 1)) return __builtin_ia32_rdtsc();
  if (session.clock_end != 0) return session.clock_end;
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000 + static_cast<uint64_t>(time.tv_nsec);
}

// Number of a record in its thread.
inline uint64_t SeqOf(const Record* record) {
  const uint64_t at = static_cast<uint64_t>(reinterpret_cast<const char*>(record) - session.chunks);
  if (record == &lost_record) return 0;
  const auto* chunk =
      reinterpret_cast<const ChunkHeader*>(session.chunks + at / kChunkSize * kChunkSize);
  return chunk->first_seq + at % kChunkSize / kRecordSize - 1;
}

// Which calls get the stack in full: all but the hot ones, which find theirs by return address and
// stack pointer alone.
constexpr bool NeedsExactStack(Op op) {
  switch (op) {
    case Op::kRead:
    case Op::kWrite:
    case Op::kReadAt:
    case Op::kWriteAt:
    case Op::kSeek:
    case Op::kTransfer:
    case Op::kStreamRead:
    case Op::kStreamWrite:
    case Op::kStreamSeek:
    case Op::kProbe:
    case Op::kPoll:
    case Op::kEpollWait:
    case Op::kEpollCtl:
    case Op::kMutexLock:
    case Op::kSleep:
      return false;
    default:
      return true;
  }
}

// Calls that are made once: nothing is gained by remembering their stacks, and a page is spared.
constexpr bool IsLast(Op op) {
  return op == Op::kExec || op == Op::kExitNow || op == Op::kExitBegin;
}

inline constexpr uint64_t kSpread = 0x9E3779B97F4A7C15;
constexpr uint64_t StackSlot(uint64_t key) { return (key >> 32) * kStackCacheSize >> 32; }

// 0: none.
IPCTRACE_INLINE uint32_t CachedStack(uint64_t key) {
  key *= kSpread;
  const uint64_t entry = kept.stacks->ids[StackSlot(key)];
  return (entry >> 32) == ((key >> 16) & 0xFFFFFFFF) ? static_cast<uint32_t>(entry) : 0;
}

IPCTRACE_INLINE uint32_t FindStack(ThreadState* thread, const Record* owner, uint64_t key,
                                   uint64_t return_address, uint64_t sp) {
  const uint32_t id = CachedStack(key);
  return __builtin_expect(id != 0, 1) ? id : CopyNewStack(thread, owner, key, return_address, sp);
}

// As FindStack, but tells stacks apart by their callers too.
uint32_t FindExactStack(ThreadState* thread, const Record* owner, uint64_t key,
                        uint64_t return_address, uint64_t sp);

// errno, and the stack in full of a hot call (whose `sp` is not 0): what is above the call's frame
// is as it was at entry. Not declared cold, or g++ takes the calls that succeed for cold as well.
void RecordFailure(ThreadState* thread, Record* record, uint64_t sp) __attribute__((noinline));

// With the call: two that were compiled to jumps come back to the same place. Times a number that
// keeps them further apart than places are, and within what an instruction can add.
inline uint64_t StackKey(Call call, uint64_t return_address, uint64_t sp) {
  constexpr uint64_t kApart = 0x3FFFFD;
  static_assert(kApart * kCallCount < uint64_t{1} << 31);
  return (return_address ^ (sp << 17 | sp >> 47)) + static_cast<uint64_t>(call) * kApart;
}

// Bytes that go with a record. Write() all, then Finish().
class BlobWriter {
 public:
  BlobWriter(ThreadState* thread, const Record* owner, BlobTag tag)
      : thread_(thread), owner_(static_cast<uint32_t>(SeqOf(owner))), tag_(tag) {}
  void Write(const void* data, size_t size);
  void Finish();

 private:
  void Next();
  ThreadState* thread_;
  BlobRecord* piece_ = nullptr;
  uint32_t owner_;
  uint32_t offset_ = 0;
  uint16_t used_ = 0;
  BlobTag tag_;
};

void WriteBlob(ThreadState* thread, const Record* owner, BlobTag tag, const void* data,
               size_t size);

// One call that is being recorded, from its entry to its return. In an interposer:
//
//   Act act(Call::dup2, from);   claims the record, reads the clock, finds the stack
//   act->a = to;                 fields and blobs known at entry
//   act.Enter();                 from here on the analyzer sees that the thread is in the call
//   int result = REAL(dup2)(from, to);
//   act.Return(result);          clock, result, errno; then fields and blobs known at return
//   act.Done();                  and nothing may be written any more
//   return result;
class Act {
 public:
  IPCTRACE_INLINE Act(Call call, int fd, uint8_t flags = 0)
      : Act(call, fd, flags, reinterpret_cast<uint64_t>(__builtin_return_address(0)),
            reinterpret_cast<uint64_t>(__builtin_dwarf_cfa())) {}

  Act(Call call, int fd, uint8_t flags, uint64_t return_address, uint64_t sp);

  Record* operator->() { return record_; }
  Record* record() { return record_; }
  ThreadState* thread() { return thread_; }
  bool lost() const { return record_ == &lost_record; }

  IPCTRACE_INLINE void Blob(BlobTag tag, const void* data, size_t size) {
    if (!lost()) WriteBlob(thread_, record_, tag, data, size);
  }

  IPCTRACE_INLINE void Enter() {
    record_->head.store(Head(static_cast<uint16_t>(call_), flags_, RecordState::kEntered),
                        std::memory_order_release);
  }

  // False: the record is not this process's (a fork in a signal handler has come between).
  bool Return(long result);

  IPCTRACE_INLINE void Done() {
    record_->head.store(Head(static_cast<uint16_t>(call_), flags_, RecordState::kReturned),
                        std::memory_order_release);
    if (__builtin_expect(index_ < kMaxOpen, 1)) {
      thread_->open[index_].record = nullptr;
      thread_->id.depth = index_;
    }
  }

  void Mark(RecordFlags flag) { flags_ |= flag; }

  // For calls that do not return: what the thread does from now on is not nested in this one.
  void Forget() {
    if (index_ >= kMaxOpen) return;
    thread_->open[index_].record = nullptr;
    thread_->id.depth = index_;
  }

  template <typename T>
  IPCTRACE_INLINE T Leave(T result) {
    Return(static_cast<long>(result));
    Done();
    return result;
  }

  // Leave, for calls that return an error number.
  IPCTRACE_INLINE int LeaveError(int error) {
    if (Return(error)) record_->err = error;
    Done();
    return error;
  }

 private:
  ThreadState* thread_;
  Record* record_;
  uint32_t index_;
  Call call_;
  uint8_t flags_;
};

// Something the library reports of its own accord: complete when written.
class Fact {
 public:
  explicit Fact(Call call, int fd = -1) : Fact(ThisThread(), call, fd) {}
  Fact(ThreadState* thread, Call call, int fd) : thread_(thread), call_(call) {
    record_ = Claim(thread);
    record_->head.store(Head(static_cast<uint16_t>(call), 0, RecordState::kClaimed),
                        std::memory_order_relaxed);
    __asm__ volatile("" : : : "memory");
    record_->enter = record_->leave = Now();
    record_->fd = fd;
  }
  Record* operator->() { return record_; }
  Record* record() { return record_; }
  ThreadState* thread() { return thread_; }
  void Blob(BlobTag tag, const void* data, size_t size) {
    WriteBlob(thread_, record_, tag, data, size);
  }
  void Done() {
    record_->head.store(Head(static_cast<uint16_t>(call_), 0, RecordState::kReturned),
                        std::memory_order_release);
  }

 private:
  ThreadState* thread_;
  Record* record_;
  Call call_;
};

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_RECORDER_H_

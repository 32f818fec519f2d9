// Calls whose every nanosecond counts: reading and writing.
#ifndef IPCTRACE_PRELOAD_HOT_ACT_H_
#define IPCTRACE_PRELOAD_HOT_ACT_H_

#include "preload/interpose.h"
#include "preload/payload.h"
#include "preload/recorder.h"
#include "preload/streams.h"

namespace ipctrace {

// An Act (recorder.h) in the ordinary case, and inlined: a traced thread, in no other call, with
// room in its chunk, the TSC for a clock, and the real function at hand. Else it does not begin,
// and the interposer is to leave the call to an Act.
class HotAct {
 public:
  IPCTRACE_INLINE HotAct(Call call, int fd, uint8_t flags)
      : real_(real_functions[static_cast<size_t>(call)]),
        thread_(thread_state),
        record_(nullptr),
        head_(Head(static_cast<uint16_t>(call), flags, RecordState::kEmpty)) {
    if (__builtin_expect(thread_ == nullptr, 0) || __builtin_expect(thread_->id.depth != 0, 0) ||
        __builtin_expect(real_ == nullptr, 0) || __builtin_expect(!session.tsc, 0)) {
      return;
    }
    Record* const record = ClaimInChunk(thread_);
    if (__builtin_expect(record == nullptr, 0)) return;
    const auto return_address = reinterpret_cast<uint64_t>(__builtin_return_address(0));
    const auto sp = reinterpret_cast<uint64_t>(__builtin_dwarf_cfa());
    Store(record, RecordState::kClaimed, std::memory_order_relaxed);
    __asm__ volatile("" : : : "memory");
    record->enter = __builtin_ia32_rdtsc();
    record->fd = fd;
    thread_->id.depth = 1;
    thread_->open[0].sp = sp;
    thread_->open[0].record = record;
    // The next record's line is on its way from the analyzer's core while the call runs.
    __asm__ volatile("prefetchw %0" : : "m"(record[1]));
    record->stack =
        FindStack(thread_, record, StackKey(call, return_address, sp), return_address, sp);
    record_ = record;
  }

  IPCTRACE_INLINE bool began() const { return __builtin_expect(record_ != nullptr, 1); }
  template <typename T>
  IPCTRACE_INLINE T* Real() const {
    return reinterpret_cast<T*>(real_);
  }
  Record* operator->() { return record_; }
  void Blob(BlobTag tag, const void* data, size_t size) {
    WriteBlob(thread_, record_, tag, data, size);
  }
  IPCTRACE_INLINE void Enter() {
    Store(record_, RecordState::kEntered, std::memory_order_release);
  }
  IPCTRACE_INLINE bool Return(long result) {
    if (__builtin_expect(thread_->open[0].record != record_, 0)) {
      record_ = nullptr;
      return false;
    }
    Store(record_, RecordState::kReturning, std::memory_order_relaxed);
    __asm__ volatile("" : : : "memory");
    record_->leave = __builtin_ia32_rdtsc();
    record_->result = result;
    if (__builtin_expect(result == -1, 0)) {
      RecordFailure(thread_, record_, thread_->open[0].sp);
    }
    return true;
  }
  IPCTRACE_INLINE void Done() {
    if (__builtin_expect(record_ == nullptr, 0)) return;
    Store(record_, RecordState::kReturned, std::memory_order_release);
    thread_->open[0].record = nullptr;
    thread_->id.depth = 0;
  }

 private:
  IPCTRACE_INLINE void Store(Record* record, RecordState state, std::memory_order order) const {
    record->head.store(head_ | Head(0, 0, state), order);
  }
  void* real_;
  ThreadState* thread_;
  Record* record_;
  uint32_t head_;
};

// After a call that moved bytes from or to `data`, which has room for `size`. (recv's MSG_TRUNC
// makes the result larger than that.)
template <typename AnyAct>
IPCTRACE_INLINE ssize_t LeaveBytes(AnyAct& act, ssize_t moved, const void* data, size_t size) {
  if (__builtin_expect(act.Return(moved), 1) && moved > 0) {
    RecordPayload(act, data, static_cast<size_t>(moved) < size ? static_cast<size_t>(moved) : size);
  }
  act.Done();
  return moved;
}

}  // namespace ipctrace

// Interposes a call whose parameters have an `fd`, `data` and `size`. The other case is a tail
// call, which finds the caller's return address and stack where they were.
#define INTERPOSE_BYTES(name, parameters, arguments, flags)                                  \
  namespace {                                                                                \
  __attribute__((noinline)) ssize_t Slow_##name parameters {                                 \
    ::ipctrace::Act act(::ipctrace::Call::name, fd, flags);                                  \
    act->a = size;                                                                           \
    act.Enter();                                                                             \
    return ::ipctrace::LeaveBytes(act, REAL(name) arguments, data, size);                    \
  }                                                                                          \
  }                                                                                          \
  INTERPOSE(name) parameters {                                                               \
    using Type = ::ipctrace::Signature<decltype(::name)>::Type;                              \
    ::ipctrace::BeforeRawUse(fd);                                                            \
    ::ipctrace::HotAct act(::ipctrace::Call::name, fd, flags);                               \
    if (!act.began()) return Slow_##name arguments;                                          \
    act->a = size;                                                                           \
    act.Enter();                                                                             \
    return ::ipctrace::LeaveBytes(act, act.Real<Type>() arguments, data, size);              \
  }

#endif  // IPCTRACE_PRELOAD_HOT_ACT_H_

// syscall(2): recorded as the call that it makes. It is no cancellation point and must stay none,
// so the real syscall makes it; and calls that return on another stack, or twice on this one, are
// jumped to and leave nothing of ours on the stack.
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "preload/bare.h"
#include "preload/descriptor_facts.h"
#include "preload/environment.h"
#include "preload/exec_target.h"
#include "preload/interpose.h"
#include "preload/payload.h"
#include "preload/raw.h"
#include "preload/readable.h"
#include "preload/restraint.h"
#include "preload/streams.h"
#include "preload/syscall_rest.h"

namespace ipctrace {
namespace {

using SyscallFunction = long(long, long, long, long, long, long, long);

IPCTRACE_INLINE SyscallFunction* RealSyscall() { return Real<SyscallFunction>(Call::syscall); }

struct Numbers {
  long number, a, b, c, d, e, f;
  uint64_t return_address, sp;
  long Do() const { return RealSyscall()(number, a, b, c, d, e, f); }
};

template <typename T>
T* Pointer(long value) {
  return reinterpret_cast<T*>(value);
}

long New(const Numbers& n, Call call, uint64_t a, uint64_t b) {
  Act act(call, -1, 0, n.return_address, n.sp);
  act->a = a;
  act->b = b;
  act.Enter();
  const long fd = n.Do();
  if (act.Return(fd) && fd >= 0) BlobNewDescriptor(act, static_cast<int>(fd));
  act.Done();
  return fd;
}

long Open(const Numbers& n, Call call, long path, long flags, long mode) {
  Act act(call, -1, 0, n.return_address, n.sp);
  act->a = static_cast<uint32_t>(flags);
  act->b = static_cast<uint32_t>(mode);
  BlobString(act, BlobTag::kPath, Pointer<const char>(path));
  act.Enter();
  const long fd = n.Do();
  if (act.Return(fd) && fd >= 0) BlobNewDescriptor(act, static_cast<int>(fd));
  act.Done();
  return fd;
}

long Bytes(const Numbers& n, Call call) {
  const int fd = static_cast<int>(n.a);
  BeforeRawUse(fd);
  Act act(call, fd, 0, n.return_address, n.sp);
  act->a = static_cast<uint64_t>(n.c);
  act.Enter();
  const long moved = n.Do();
  if (act.Return(moved) && moved > 0) {
    RecordPayload(act, Pointer<const void>(n.b), static_cast<size_t>(moved));
  }
  act.Done();
  return moved;
}

long Close(const Numbers& n) {
  const int fd = static_cast<int>(n.a);
  BeforeClose(fd);
  Act act(Call::close, fd, 0, n.return_address, n.sp);
  act.Enter();
  const long result = act.Leave(n.Do());
  if (result == 0) DidCloseDescriptor(fd);
  return result;
}

long Dup(const Numbers& n, Call call) {
  const int fd = static_cast<int>(n.a);
  Act act(call, fd, 0, n.return_address, n.sp);
  if (call != Call::dup) act->a = static_cast<uint64_t>(n.b);
  if (call == Call::dup3) act->b = static_cast<uint64_t>(n.c);
  act.Enter();
  const long result = act.Leave(n.Do());
  if (result >= 0) DidDupDescriptor(fd, static_cast<int>(result));
  return result;
}

long Pipe(const Numbers& n, Call call) {
  Act act(call, call == Call::pipe2 ? static_cast<int>(n.b) : 0, 0, n.return_address, n.sp);
  act.Enter();
  const long result = n.Do();
  if (act.Return(result) && result == 0) {
    const int* const ends = Pointer<const int>(n.a);
    struct stat status = {};
    Raw(SYS_fstat, ends[0], Address(&status));
    act->a = static_cast<uint32_t>(ends[0]);
    act->b = static_cast<uint32_t>(ends[1]);
    act->c = status.st_ino;
  }
  act.Done();
  return result;
}

long CloseRange(const Numbers& n) {
  Act act(Call::close_range, -1, 0, n.return_address, n.sp);
  act->a = static_cast<uint32_t>(n.a);
  act->b = static_cast<uint32_t>(n.b);
  act->c = static_cast<uint32_t>(n.c);
  act.Enter();
  return act.Leave(n.Do());
}

long Fork(const Numbers& n) {
  SampleStreams();
  Act act(Call::fork, -1, 0, n.return_address, n.sp);
  act.Enter();
  if (!act.lost()) kept.fork_seq = SeqOf(act.record());
  const long pid = n.Do();
  if (pid == 0) {
    BecomeChild();
    return 0;
  }
  kept.fork_seq = kNoFork;
  return act.Leave(pid);
}

long ExitGroup(const Numbers& n) {
  SampleStreams();
  Act act(Call::_exit, -1, 0, n.return_address, n.sp);
  act->a = static_cast<uint64_t>(n.a);
  act.Enter();
  act.Forget();
  WaitForReport();
  return n.Do();
}

long Exec(Numbers n) {
  SampleStreams();
  const auto* path = Pointer<const char>(n.a);
  const bool traceable = IsTraceable(AT_FDCWD, path);
  Act act(Call::execve, -1, 0, n.return_address, n.sp);
  BlobString(act, BlobTag::kPath, path);
  act.Enter();
  n.c = Address(TracedEnvironment(Pointer<char* const>(n.c), traceable));
  return act.Leave(n.Do());
}

long Record(const Numbers& n) {
  switch (n.number) {
    case SYS_read:
      return Bytes(n, Call::read);
    case SYS_write:
      return Bytes(n, Call::write);
    case SYS_close:
      return Close(n);
    case SYS_close_range:
      return CloseRange(n);
    case SYS_dup:
      return Dup(n, Call::dup);
    case SYS_dup2:
      return Dup(n, Call::dup2);
    case SYS_dup3:
      return Dup(n, Call::dup3);
    case SYS_pipe:
      return Pipe(n, Call::pipe);
    case SYS_pipe2:
      return Pipe(n, Call::pipe2);
    case SYS_open:
      return Open(n, Call::open, n.a, n.b, n.c);
    case SYS_openat:
      return Open(n, Call::openat, n.b, n.c, n.d);
    case SYS_eventfd:
    case SYS_eventfd2:
      return New(n, Call::eventfd, static_cast<uint64_t>(AnonymousKind::kEventfd),
                 n.number == SYS_eventfd2 ? static_cast<uint64_t>(n.b) : 0);
    case SYS_memfd_create:
      return New(n, Call::memfd_create, static_cast<uint64_t>(AnonymousKind::kMemfd),
                 static_cast<uint64_t>(n.b));
    case SYS_pidfd_open:
      return New(n, Call::pidfd_open, static_cast<uint64_t>(AnonymousKind::kPidfd),
                 static_cast<uint64_t>(n.b));
    case SYS_epoll_create1:
      return New(n, Call::epoll_create1, static_cast<uint64_t>(AnonymousKind::kEpoll),
                 static_cast<uint64_t>(n.a));
    case SYS_userfaultfd:
    case SYS_io_uring_setup:
    case SYS_perf_event_open:
      return New(n, Call::pidfd_getfd, static_cast<uint64_t>(AnonymousKind::kOther), 0);
    case SYS_socket: {
      return New(n, Call::socket, static_cast<uint64_t>(n.a), static_cast<uint64_t>(n.b));
    }
    case SYS_execve:
      return Exec(n);
    case SYS_exit_group:
      return ExitGroup(n);
    case SYS_fork:
    case SYS_clone:
      return Fork(n);
  }
  return n.Do();
}

bool IsRecorded(long number, long a, long b) {
  switch (number) {
    case SYS_read:
    case SYS_write:
    case SYS_close:
    case SYS_close_range:
    case SYS_dup:
    case SYS_dup2:
    case SYS_dup3:
    case SYS_pipe:
    case SYS_pipe2:
    case SYS_open:
    case SYS_openat:
    case SYS_eventfd:
    case SYS_eventfd2:
    case SYS_memfd_create:
    case SYS_pidfd_open:
    case SYS_epoll_create1:
    case SYS_userfaultfd:
    case SYS_io_uring_setup:
    case SYS_perf_event_open:
    case SYS_socket:
    case SYS_execve:
    case SYS_exit_group:
    case SYS_fork:
      return true;
    case SYS_clone:
      return (a & (CLONE_VM | CLONE_THREAD | CLONE_VFORK)) == 0 && b == 0;
  }
  return false;
}

// What shares this thread's memory is told apart from it from now on.
__attribute__((noinline)) void NoteClone(long number, long a, long size) {
  auto flags = static_cast<uint64_t>(a);
  if (number == SYS_clone3) {
    const auto* arguments = Pointer<const uint64_t>(a);
    if (size < 8 || !Readable(arguments, sizeof(*arguments))) return;
    flags = *arguments;
  }
  if ((flags & (CLONE_VM | CLONE_SETTLS)) == CLONE_VM) ShareState(ThisThread());
}

// Whether the call sets a filter that the library has to mind; then DidSetFilter is to follow.
__attribute__((noinline)) bool WillFilter(long number, long a, long b, long c) {
  if (number == SYS_prctl && a == PR_SET_TSC && b == PR_TSC_SIGSEGV) WillLoseClock();
  const bool by_prctl = number == SYS_prctl && a == PR_SET_SECCOMP;
  if (by_prctl ? b == SECCOMP_MODE_STRICT : number == SYS_seccomp && a == SECCOMP_SET_MODE_STRICT)
    return WillLoseClock(), WillSetFilter(nullptr);
  if (by_prctl ? b == SECCOMP_MODE_FILTER : number == SYS_seccomp && a == SECCOMP_SET_MODE_FILTER)
    return c != 0 && WillSetFilter(Pointer<const sock_fprog>(c));
  return false;
}

__attribute__((noinline)) long RecordCall(long number, long a, long b, long c, long d, long e,
                                          long f, uint64_t return_address, uint64_t sp) {
  return Record({number, a, b, c, d, e, f, return_address, sp});
}

}  // namespace

// Declared variadic by libc; on this machine the arguments arrive alike.
extern "C" __attribute__((visibility("default"))) long interposed_syscall(
    long number, long a, long b, long c, long d, long e, long f) __asm__("syscall");

extern "C" long interposed_syscall(long number, long a, long b, long c, long d, long e, long f) {
  if (__builtin_expect(number == SYS_clone || number == SYS_clone3, 0)) NoteClone(number, a, b);
  if (__builtin_expect(number == SYS_seccomp || number == SYS_prctl, 0) &&
      WillFilter(number, a, b, c)) {
    const long result = RealSyscall()(number, a, b, c, d, e, f);
    DidSetFilter(result >= 0);
    return result;
  }
  if (IsRecorded(number, a, b)) {
    return RecordCall(number, a, b, c, d, e, f,
                      reinterpret_cast<uint64_t>(__builtin_return_address(0)),
                      reinterpret_cast<uint64_t>(__builtin_dwarf_cfa()));
  }
  if (SyscallRest* const rest = FindSyscallRest(number)) return rest(a, b, c, d, e, f);
  return RealSyscall()(number, a, b, c, d, e, f);
}

INTERPOSE(prctl)(int option, ...) {
  va_list list;
  va_start(list, option);
  const long b = va_arg(list, long), c = va_arg(list, long);
  const long d = va_arg(list, long), e = va_arg(list, long);
  va_end(list);
  const bool filters =
      (option == PR_SET_SECCOMP || option == PR_SET_TSC) && WillFilter(SYS_prctl, option, b, c);
  const int result = REAL(prctl)(option, b, c, d, e);
  if (filters) DidSetFilter(result == 0);
  return result;
}

}  // namespace ipctrace

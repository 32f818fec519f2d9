// Births, changes and ends of processes.
//
// fork: the parent's record is open while the child is made. In the child the page with the
// thread's identity reads as zeros (recorder.h), and its first call gives it a new one, also where
// a handler of pthread_atfork makes that.
//
// exec: the record stays open; the new image's hello tells that it worked. Whatever the program
// does to its environment, the two variables that keep the run together are passed on.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload/bare.h"
#include "preload/environment.h"
#include "preload/exec_target.h"
#include "preload/hello.h"
#include "preload/interpose.h"
#include "preload/process.h"
#include "preload/raw.h"
#include "preload/readable.h"
#include "preload/streams.h"

extern "C" pid_t _Fork() noexcept;

namespace ipctrace {
namespace {

// What a child is likely to call first is looked up before it is made: there the page that it is
// written to would have to be copied for it.
IPCTRACE_START_CODE void FindWhatChildrenCall() {
  if (session.chunks != nullptr) ReachLibrary();
  for (Call call : {Call::dup2, Call::close, Call::execve, Call::execvpe, Call::_exit}) {
    if (real_functions[static_cast<size_t>(call)] == nullptr) FindReal(call);
  }
}

IPCTRACE_START_CODE void BeforeFork(Act& act) {
  FindWhatChildrenCall();
  act.Enter();
  if (!act.lost()) kept.fork_seq = SeqOf(act.record());
}

}  // namespace

INTERPOSE_AT_START(fork)() {
  SampleStreams();
  Act act(Call::fork, -1);
  BeforeFork(act);
  const pid_t pid = REAL(fork)();
  if (pid == 0) {
    BecomeChild();
    return 0;
  }
  kept.fork_seq = kNoFork;
  return act.Leave(pid);
}

INTERPOSE(_Fork)() {
  SampleStreams();
  Act act(Call::_Fork, -1);
  BeforeFork(act);
  const pid_t pid = REAL(_Fork)();
  if (pid == 0) {
    BecomeChild();
    return 0;
  }
  kept.fork_seq = kNoFork;
  return act.Leave(pid);
}

// --- vfork --------------------------------------------------------------------------------------
//
// The child returns first, from this very call, and may then overwrite all of the stack below its
// caller's frame. So the function's own return address waits in a register (rdi, which the kernel
// preserves) until the parent returns, and what the parent needs afterwards waits in ThreadState.
// The child runs on that ThreadState too, under an identity of its own, until the parent takes its
// own one back. A signal handler in the few instructions between is booked to the child.

extern "C" __attribute__((visibility("hidden"), used)) void ipctrace_before_vfork(
    uint64_t return_address, uint64_t sp) {
  SampleStreams();
  Act act(Call::vfork, -1, 0, return_address, sp);
  act.Enter();
  ThreadState* const thread = act.thread();
  if (thread->id.process == 0 || thread->id.vforks == kMaxVforks) {
    act.Forget();
    return;
  }
  auto& saved = thread->saved[thread->id.vforks];
  saved.id = thread->id;
  saved.record = act.record();
  for (uint32_t i = 0; i < kMaxOpen; ++i) saved.open[i] = thread->open[i];
}

extern "C" __attribute__((visibility("hidden"), used)) void ipctrace_in_vfork_child() {
  ThreadState* const thread = ThisThread();
  const uint32_t level = thread->id.vforks;
  if (session.chunks == nullptr || level == kMaxVforks || thread->saved[level].record == nullptr) {
    return;
  }
  const Identity parent = thread->id;
  const auto pid = static_cast<int32_t>(Raw(SYS_getpid));
  TakeIdentity(thread, session.header->next_process.fetch_add(1), pid, pid);
  thread->id.depth = 0;
  thread->id.vforks = level + 1;
  Fact start(thread, Call::fact_child_start, -1);
  start->result = Raw(SYS_getppid);
  start->a = parent.process;
  start->b = parent.thread;
  start->c = SeqOf(thread->saved[level].record);
  start.Done();
}

extern "C" __attribute__((visibility("hidden"), used)) long ipctrace_after_vfork(long result) {
  if (result < 0) {
    errno = static_cast<int>(-result);
    result = -1;
  }
  ThreadState* const thread = ThisThread();
  uint32_t level = thread->id.vforks;
  if (session.chunks == nullptr) return result;
  if (result > 0 && level != 0) --level;
  if (level == kMaxVforks || thread->saved[level].record == nullptr) return result;
  auto& saved = thread->saved[level];
  Record* const record = saved.record;
  saved.record = nullptr;
  thread->id = saved.id;
  kept.process = saved.id.process;
  kept.thread = saved.id.thread;
  for (uint32_t i = 0; i < kMaxOpen; ++i) thread->open[i] = saved.open[i];
  const uint32_t head = record->head.load();
  record->head.store(Head(HeadCall(head), HeadFlags(head), RecordState::kReturning));
  record->leave = Now();
  record->result = result;
  record->err = result < 0 ? errno : 0;
  record->head.store(Head(HeadCall(head), HeadFlags(head), RecordState::kReturned),
                     std::memory_order_release);
  if (thread->id.depth != 0) thread->open[--thread->id.depth].record = nullptr;
  return result;
}

// The name is libc's, so the body cannot be given by INTERPOSE.
__asm__(
    ".text\n"
    ".globl vfork\n"
    ".type vfork, @function\n"
    "vfork:\n"
    "  .cfi_startproc\n"
    "  movq (%rsp), %rdi\n"
    "  leaq 8(%rsp), %rsi\n"
    "  subq $8, %rsp\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  call ipctrace_before_vfork\n"
    "  addq $8, %rsp\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  popq %rdi\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  .cfi_register %rip, %rdi\n"
    "  movl $58, %eax\n"  // SYS_vfork
    "  syscall\n"
    "  pushq %rdi\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  .cfi_rel_offset %rip, 0\n"
    "  subq $8, %rsp\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  testq %rax, %rax\n"
    "  jnz 1f\n"
    "  call ipctrace_in_vfork_child\n"
    "  xorl %eax, %eax\n"
    "  addq $8, %rsp\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  ret\n"
    "1:\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  movq %rax, %rdi\n"
    "  call ipctrace_after_vfork\n"
    "  addq $8, %rsp\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  ret\n"
    "  .cfi_endproc\n"
    ".size vfork, .-vfork\n");

// --- exec ----------------------------------------------------------------------------------------

namespace {

IPCTRACE_START_CODE void WriteArguments(Act& act, char* const* arguments) {
  if (act.lost() || arguments == nullptr) return;
  BlobWriter writer(act.thread(), act.record(), BlobTag::kArgv);
  size_t total = 0;
  for (size_t i = 0; total < 16384; ++i) {
    if (!Readable(arguments + i, sizeof(char*)) || arguments[i] == nullptr) break;
    const long length = ReadableLength(arguments[i], 4096);
    if (length < 0) break;
    writer.Write(arguments[i], static_cast<size_t>(length));
    writer.Write("", 1);
    total += static_cast<size_t>(length) + 1;
  }
  writer.Finish();
}

IPCTRACE_START_CODE void EnterExec(Act& act, const char* path, char* const* arguments) {
  BlobString(act, BlobTag::kPath, path);
  WriteArguments(act, arguments);
  act.Enter();
}

}  // namespace

INTERPOSE_AT_START(execve)(const char* path, char* const* arguments, char* const* environment) {
  SampleStreams();
  const bool traceable = IsTraceable(AT_FDCWD, path);
  Act act(Call::execve, -1);
  EnterExec(act, path, arguments);
  return act.Leave(REAL(execve)(path, arguments, TracedEnvironment(environment, traceable)));
}

INTERPOSE_AT_START(execv)(const char* path, char* const* arguments) {
  SampleStreams();
  const bool traceable = IsTraceable(AT_FDCWD, path);
  Act act(Call::execv, -1);
  EnterExec(act, path, arguments);
  return act.Leave(REAL(execve)(path, arguments, TracedEnvironment(environ, traceable)));
}

INTERPOSE_AT_START(execvp)(const char* path, char* const* arguments) {
  SampleStreams();
  const bool traceable = IsTraceableName(path);
  Act act(Call::execvp, -1);
  EnterExec(act, path, arguments);
  return act.Leave(REAL(execvpe)(path, arguments, TracedEnvironment(environ, traceable)));
}

INTERPOSE_AT_START(execvpe)(const char* path, char* const* arguments, char* const* environment) {
  SampleStreams();
  const bool traceable = IsTraceableName(path);
  Act act(Call::execvpe, -1);
  EnterExec(act, path, arguments);
  return act.Leave(REAL(execvpe)(path, arguments, TracedEnvironment(environment, traceable)));
}

INTERPOSE(fexecve)(int fd, char* const* arguments, char* const* environment) {
  SampleStreams();
  const bool traceable = IsTraceable(fd, "");
  Act act(Call::fexecve, fd);
  EnterExec(act, "", arguments);
  return act.Leave(REAL(fexecve)(fd, arguments, TracedEnvironment(environment, traceable)));
}

INTERPOSE(execveat)(int directory, const char* path, char* const* arguments,
                    char* const* environment, int flags) {
  SampleStreams();
  const bool traceable = IsTraceable(directory, path);
  Act act(Call::execveat, directory);
  EnterExec(act, path, arguments);
  return act.Leave(
      REAL(execveat)(directory, path, arguments, TracedEnvironment(environment, traceable), flags));
}

// The forms with the arguments in a row, as libc does them: counted, and put into an array. The
// array is on the stack, as in libc; -ffixed-rbp leaves no register for a variable-sized one, so
// its bound is fixed and longer lists are the kernel's memory (never freed: exec, or a failed one).
#define EXEC_LIST(call, last_argument, is_traceable, finish)                                   \
  va_list list;                                                                                \
  size_t count = 1;                                                                            \
  va_start(list, first);                                                                       \
  if (first != nullptr) {                                                                      \
    while (va_arg(list, const char*) != nullptr) ++count;                                      \
    ++count;                                                                                   \
  }                                                                                            \
  va_end(list);                                                                                \
  char* some[64];                                                                              \
  char** arguments = some;                                                                     \
  if (count > 64) {                                                                            \
    const long memory = Raw(SYS_mmap, 0, static_cast<long>(count * sizeof(char*)),             \
                            PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);       \
    if (memory < 0 && memory > -4096) {                                                        \
      errno = ENOMEM;                                                                          \
      return -1;                                                                               \
    }                                                                                          \
    arguments = reinterpret_cast<char**>(memory);                                              \
  }                                                                                            \
  va_start(list, first);                                                                       \
  arguments[0] = const_cast<char*>(first);                                                     \
  for (size_t i = 1; i < count; ++i) arguments[i] = va_arg(list, char*);                       \
  char* const* environment = last_argument;                                                    \
  va_end(list);                                                                                \
  SampleStreams();                                                                             \
  const bool traceable = is_traceable;                                                         \
  Act act(Call::call, -1);                                                                     \
  EnterExec(act, path, arguments);                                                             \
  environment = TracedEnvironment(environment, traceable);                                     \
  const int result = act.Leave(REAL(finish)(path, arguments, environment));                    \
  if (arguments != some) {                                                                     \
    Raw(SYS_munmap, Address(arguments), static_cast<long>(count * sizeof(char*)));             \
  }                                                                                            \
  return result

INTERPOSE_AT_START(execl)(const char* path, const char* first, ...) {
  EXEC_LIST(execl, environ, IsTraceable(AT_FDCWD, path), execve);
}
INTERPOSE_AT_START(execlp)(const char* path, const char* first, ...) {
  EXEC_LIST(execlp, environ, IsTraceableName(path), execvpe);
}
INTERPOSE_AT_START(execle)(const char* path, const char* first, ...) {
  EXEC_LIST(execle, va_arg(list, char* const*), IsTraceable(AT_FDCWD, path), execve);
}

// --- The end -------------------------------------------------------------------------------------

INTERPOSE_AT_START(exit)(int status) {
  Act act(Call::exit, -1);
  act->a = static_cast<uint64_t>(static_cast<int64_t>(status));
  act.Enter();
  act.Forget();
  REAL(exit)(status);
  __builtin_unreachable();
}

#define ENDS_NOW(name)                                            \
  INTERPOSE_AT_START(name)(int status) {                          \
    SampleStreams();                                              \
    SampleNumbers();                                              \
    Act act(Call::name, -1);                                      \
    act->a = static_cast<uint64_t>(static_cast<int64_t>(status)); \
    act.Enter();                                                  \
    act.Forget();                                                 \
    WaitForReport();                                              \
    REAL(name)(status);                                           \
    __builtin_unreachable();                                      \
  }
ENDS_NOW(_exit)
ENDS_NOW(_Exit)

INTERPOSE(quick_exit)(int status) {
  SampleStreams();
  SampleNumbers();
  Act act(Call::quick_exit, -1);
  act->a = static_cast<uint64_t>(static_cast<int64_t>(status));
  act.Enter();
  act.Forget();
  REAL(quick_exit)(status);
  __builtin_unreachable();
}

INTERPOSE(abort)() {
  SampleStreams();
  Act act(Call::abort, -1);
  act->a = static_cast<uint64_t>(int64_t{-SIGABRT});
  act.Enter();
  act.Forget();
  REAL(abort)();
  __builtin_unreachable();
}

// --- wait ----------------------------------------------------------------------------------------

namespace {
int LeaveWait(Act& act, int result, const int* status) {
  if (act.Return(result)) act->c = result > 0 ? static_cast<uint32_t>(*status) : 0;
  act.Done();
  return result;
}
}  // namespace

INTERPOSE(wait)(int* status) {
  int own = 0;
  if (status == nullptr) status = &own;
  Act act(Call::wait, -1);
  act->a = ~uint64_t{0};
  act.Enter();
  return LeaveWait(act, REAL(wait)(status), status);
}

INTERPOSE(waitpid)(pid_t pid, int* status, int options) {
  int own = 0;
  if (status == nullptr) status = &own;
  Act act(Call::waitpid, -1);
  act->a = static_cast<uint64_t>(int64_t{pid});
  act->b = static_cast<uint32_t>(options);
  act.Enter();
  return LeaveWait(act, REAL(waitpid)(pid, status, options), status);
}

INTERPOSE(wait3)(int* status, int options, rusage* usage) {
  int own = 0;
  if (status == nullptr) status = &own;
  Act act(Call::wait3, -1);
  act->a = ~uint64_t{0};
  act->b = static_cast<uint32_t>(options);
  act.Enter();
  return LeaveWait(act, REAL(wait3)(status, options, usage), status);
}

INTERPOSE(wait4)(pid_t pid, int* status, int options, rusage* usage) {
  int own = 0;
  if (status == nullptr) status = &own;
  Act act(Call::wait4, -1);
  act->a = static_cast<uint64_t>(int64_t{pid});
  act->b = static_cast<uint32_t>(options);
  act.Enter();
  return LeaveWait(act, REAL(wait4)(pid, status, options, usage), status);
}

INTERPOSE(waitid)(idtype_t type, id_t id, siginfo_t* info, int options) {
  siginfo_t own;
  if (info == nullptr) info = &own;
  Act act(Call::waitid, type == P_PIDFD ? static_cast<int>(id) : -1);
  act->a = type == P_PID                 ? id
           : type == P_PGID && id != 0   ? static_cast<uint64_t>(-static_cast<int64_t>(id))
           : type == P_PGID              ? 0
                                         : ~uint64_t{0};
  act->b = static_cast<uint32_t>(options);
  act.Enter();
  const int result = REAL(waitid)(type, id, info, options);
  if (act.Return(result) && result == 0) {
    act->result = info->si_pid;
    const auto status = static_cast<uint32_t>(info->si_status);
    switch (info->si_pid == 0 ? 0 : info->si_code) {
      case CLD_EXITED: act->c = (status & 0xff) << 8; break;
      case CLD_KILLED: act->c = status & 0x7f; break;
      case CLD_DUMPED: act->c = (status & 0x7f) | 0x80; break;
      case CLD_STOPPED:
      case CLD_TRAPPED: act->c = (status & 0xff) << 8 | 0x7f; break;
      case CLD_CONTINUED: act->c = 0xffff; break;
    }
  }
  act.Done();
  return result;
}

ALSO(__fork, fork);
ALSO(__vfork, vfork);
ALSO(__wait, wait);
ALSO(__waitpid, waitpid);

}  // namespace ipctrace

// Processes that libc makes by itself: posix_spawn and system, forkpty and daemon, clone. (popen is
// with the streams.)
#include <pty.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "preload/descriptor_facts.h"
#include "preload/environment.h"
#include "preload/exec_target.h"
#include "preload/interpose.h"
#include "preload/process.h"
#include "preload/raw.h"
#include "preload/readable.h"
#include "preload/streams.h"

namespace ipctrace {
namespace {

void EnterSpawn(Act& act, const char* path, char* const* arguments) {
  BlobString(act, BlobTag::kPath, path);
  if (!act.lost() && arguments != nullptr) {
    BlobWriter writer(act.thread(), act.record(), BlobTag::kArgv);
    for (size_t i = 0; i < 1024; ++i) {
      if (!Readable(arguments + i, sizeof(char*)) || arguments[i] == nullptr) break;
      const long length = ReadableLength(arguments[i], 4096);
      if (length < 0) break;
      writer.Write(arguments[i], static_cast<size_t>(length));
      writer.Write("", 1);
    }
    writer.Finish();
  }
  act.Enter();
}

int LeaveSpawn(Act& act, int error, const pid_t* pid) {
  if (act.Return(error)) {
    act->err = error;
    if (error == 0) act->a = static_cast<uint32_t>(*pid);
  }
  act.Done();
  return error;
}

}  // namespace

#define SPAWN(name, is_traceable)                                                               \
  INTERPOSE(name)(pid_t * pid, const char* path, const posix_spawn_file_actions_t* actions,     \
                  const posix_spawnattr_t* attributes, char* const* arguments,                  \
                  char* const* environment) {                                                   \
    pid_t own;                                                                                  \
    if (pid == nullptr) pid = &own;                                                             \
    SampleStreams();                                                                            \
    const bool traceable = is_traceable;                                                        \
    Act act(Call::name, -1);                                                                    \
    EnterSpawn(act, path, arguments);                                                           \
    return LeaveSpawn(act,                                                                      \
                      REAL(name)(pid, path, actions, attributes, arguments,                     \
                                 TracedEnvironment(environment, traceable)),                    \
                      pid);                                                                     \
  }
SPAWN(posix_spawn, IsTraceable(AT_FDCWD, path))
SPAWN(posix_spawnp, IsTraceableName(path))

INTERPOSE(system)(const char* command) {
  if (command == nullptr) return REAL(system)(command);
  EnsureEnvironment();
  SampleStreams();
  Act act(Call::system, -1);
  BlobString(act, BlobTag::kPath, command);
  act.Enter();
  return act.Leave(REAL(system)(command));
}

// The master's descriptor is new in the parent; the child has the terminal as 0, 1 and 2.
INTERPOSE(forkpty)(int* master, char* name, const termios* terminal, const winsize* size) {
  SampleStreams();
  Act act(Call::forkpty, -1);
  act.Enter();
  if (!act.lost()) kept.fork_seq = SeqOf(act.record());
  const pid_t pid = REAL(forkpty)(master, name, terminal, size);
  if (pid == 0) {
    BecomeChild();
    SayStandardDescriptors();
    return 0;
  }
  kept.fork_seq = kNoFork;
  act.Leave(pid);
  if (pid > 0) {
    Fact made(Call::fact_pty_master);
    FdFact fact;
    made->a = static_cast<uint64_t>(AnonymousKind::kPty);
    made->result = *master;
    if (DescribeDescriptor(*master, kAskKernel, kAskKernel, &fact)) {
      made.Blob(BlobTag::kFds, &fact, sizeof(fact));
    }
    made.Done();
  }
  return pid;
}

// The parent ends inside the call, without flushing; the child returns from it.
INTERPOSE(daemon)(int keep_directory, int keep_descriptors) {
  SampleStreams();
  Act act(Call::daemon, -1);
  act.Enter();
  if (!act.lost()) kept.fork_seq = SeqOf(act.record());
  const int result = REAL(daemon)(keep_directory, keep_descriptors);
  if (act.thread()->id.process != 0 && kept.fork_seq != kNoFork) {
    kept.fork_seq = kNoFork;
    return act.Leave(result);
  }
  BecomeChild();
  if (result == 0) SayStandardDescriptors();
  return result;
}

// --- clone ---------------------------------------------------------------------------------------

namespace {

struct CloneStart {
  int (*function)(void*);
  void* argument;
};

// Without CLONE_VM the child is a forked one on another stack.
int RunForked(void* argument) {
  const CloneStart start = *static_cast<CloneStart*>(argument);
  BecomeChild();
  return start.function(start.argument);
}

int RunVforked(void* argument) {
  const CloneStart start = *static_cast<CloneStart*>(argument);
  ipctrace_in_vfork_child();
  return start.function(start.argument);
}

}  // namespace

INTERPOSE(clone)(int (*function)(void*), void* stack, int flags, void* argument, ...) {
  va_list list;
  va_start(list, argument);
  auto* const parent_tid = va_arg(list, pid_t*);
  void* const tls = va_arg(list, void*);
  auto* const child_tid = va_arg(list, pid_t*);
  va_end(list);
  constexpr int kShared = CLONE_VM | CLONE_VFORK;
  if ((flags & (kShared | CLONE_SETTLS)) == kShared && function != nullptr) {
    // vfork with a function and a stack of its own. The parent waits, so the child may use its
    // state.
    ipctrace_before_vfork(reinterpret_cast<uint64_t>(__builtin_return_address(0)),
                          reinterpret_cast<uint64_t>(__builtin_dwarf_cfa()));
    CloneStart start = {function, argument};
    const int pid = REAL(clone)(RunVforked, stack, flags, &start, parent_tid, tls, child_tid);
    return static_cast<int>(ipctrace_after_vfork(pid < 0 ? -errno : pid));
  }
  if ((flags & CLONE_VM) != 0 || function == nullptr) {
    // The child runs beside this thread on the same memory: only its making is recorded. See the
    // README's limits.
    Act act(Call::clone, -1);
    if ((flags & CLONE_SETTLS) == 0) ShareState(act.thread());
    act.Enter();
    return act.Leave(REAL(clone)(function, stack, flags, argument, parent_tid, tls, child_tid));
  }
  SampleStreams();
  Act act(Call::clone, -1);
  act.Enter();
  if (!act.lost()) kept.fork_seq = SeqOf(act.record());
  CloneStart start = {function, argument};
  const int pid = REAL(clone)(RunForked, stack, flags, &start, parent_tid, tls, child_tid);
  kept.fork_seq = kNoFork;
  return act.Leave(pid);
}

ALSO(__clone, clone);

}  // namespace ipctrace

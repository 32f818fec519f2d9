// Births, copies and deaths of descriptors, and what is set on them.
#include <fcntl.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload/descriptor_facts.h"
#include "preload/interpose.h"
#include "preload/raw.h"
#include "preload/readable.h"
#include "preload/streams.h"
#include "preload/undeclared.h"

namespace ipctrace {
namespace {

constexpr uint32_t kCreationFlags = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC;

void EnterOpen(Act& act, const char* path, int flags, unsigned mode) {
  act->a = static_cast<uint32_t>(flags);
  act->b = mode;
  BlobString(act, BlobTag::kPath, path);
  act.Enter();
}

int LeaveOpen(Act& act, const char* path, int fd, int flags) {
  if (act.Return(fd) && fd >= 0 && !MayTellLater(fd, path)) {
    BlobNewDescriptor(act, fd, static_cast<uint32_t>(flags & ~O_CLOEXEC) & ~kCreationFlags,
                      (flags & O_CLOEXEC) != 0 ? FD_CLOEXEC : 0);
  }
  act.Done();
  return fd;
}

// The mode is there only where it has a use.
#define OPEN_MODE(flags)                                         \
  mode_t mode = 0;                                               \
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) { \
    va_list list;                                                \
    va_start(list, flags);                                       \
    mode = va_arg(list, mode_t);                                 \
    va_end(list);                                                \
  }

}  // namespace

#define OPEN(name)                                                \
  INTERPOSE(name)(const char* path, int flags, ...) {             \
    OPEN_MODE(flags)                                              \
    Act act(Call::name, -1);                                      \
    EnterOpen(act, path, flags, mode);                            \
    return LeaveOpen(act, path, REAL(name)(path, flags, mode), flags);  \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                         \
  INTERPOSE(name)(int directory, const char* path, int flags, ...) {         \
    OPEN_MODE(flags)                                                         \
    Act act(Call::name, -1);                                                 \
    EnterOpen(act, path, flags, mode);                                       \
    return LeaveOpen(act, path, REAL(name)(directory, path, flags, mode), flags);  \
  }
OPENAT(openat)
OPENAT(openat64)

#define OPEN_2(name)                                        \
  INTERPOSE(name)(const char* path, int flags) {            \
    Act act(Call::name, -1);                                \
    EnterOpen(act, path, flags, 0);                         \
    return LeaveOpen(act, path, REAL(name)(path, flags), flags);  \
  }
OPEN_2(__open_2)
OPEN_2(__open64_2)

#define OPENAT_2(name)                                                 \
  INTERPOSE(name)(int directory, const char* path, int flags) {        \
    Act act(Call::name, -1);                                           \
    EnterOpen(act, path, flags, 0);                                    \
    return LeaveOpen(act, path, REAL(name)(directory, path, flags), flags);  \
  }
OPENAT_2(__openat_2)
OPENAT_2(__openat64_2)

#define CREAT(name)                                                               \
  INTERPOSE(name)(const char* path, mode_t mode) {                                \
    Act act(Call::name, -1);                                                      \
    EnterOpen(act, path, O_CREAT | O_WRONLY | O_TRUNC, mode);                     \
    return LeaveOpen(act, path, REAL(name)(path, mode), O_CREAT | O_WRONLY | O_TRUNC);  \
  }
CREAT(creat)
CREAT(creat64)

namespace {
int LeavePipe(Act& act, int result, const int* ends) {
  if (act.Return(result) && result == 0) {
    struct stat status = {};
    Raw(SYS_fstat, ends[0], Address(&status));
    act->a = static_cast<uint32_t>(ends[0]);
    act->b = static_cast<uint32_t>(ends[1]);
    act->c = status.st_ino;
  }
  act.Done();
  return result;
}
}  // namespace

INTERPOSE(pipe)(int* ends) {
  Act act(Call::pipe, 0);
  act.Enter();
  return LeavePipe(act, REAL(pipe)(ends), ends);
}

INTERPOSE(pipe2)(int* ends, int flags) {
  Act act(Call::pipe2, flags);
  act.Enter();
  return LeavePipe(act, REAL(pipe2)(ends, flags), ends);
}

INTERPOSE(close)(int fd) {
  BeforeClose(fd);
  Act act(Call::close, fd);
  act.Enter();
  const int result = act.Leave(REAL(close)(fd));
  if (result == 0) DidCloseDescriptor(fd);
  return result;
}

INTERPOSE(closefrom)(int first) {
  Act act(Call::closefrom, -1);
  act->a = first < 0 ? 0 : static_cast<uint32_t>(first);
  act->b = ~uint32_t{0};
  act.Enter();
  REAL(closefrom)(first);
  act.Leave(0);
  for (int fd = first < 0 ? 0 : first; fd < kStreamTableSize; ++fd) DidCloseDescriptor(fd);
}

INTERPOSE(close_range)(unsigned first, unsigned last, int flags) {
  Act act(Call::close_range, -1);
  act->a = first;
  act->b = last;
  act->c = static_cast<uint32_t>(flags);
  act.Enter();
  const int result = act.Leave(REAL(close_range)(first, last, flags));
  if (result == 0 && (flags & CLOSE_RANGE_CLOEXEC) == 0) {
    for (unsigned fd = first; fd < kStreamTableSize && fd <= last; ++fd) {
      DidCloseDescriptor(static_cast<int>(fd));
    }
  }
  return result;
}

INTERPOSE(dup)(int from) {
  Act act(Call::dup, from);
  act.Enter();
  const int result = act.Leave(REAL(dup)(from));
  if (result >= 0) DidDupDescriptor(from, result);
  return result;
}

INTERPOSE(dup2)(int from, int to) {
  BeforeClose(to);
  Act act(Call::dup2, from);
  act->a = static_cast<uint64_t>(int64_t{to});
  act.Enter();
  const int result = act.Leave(REAL(dup2)(from, to));
  if (result >= 0) DidDupDescriptor(from, to);
  return result;
}

INTERPOSE(dup3)(int from, int to, int flags) {
  BeforeClose(to);
  Act act(Call::dup3, from);
  act->a = static_cast<uint64_t>(int64_t{to});
  act->b = static_cast<uint32_t>(flags);
  act.Enter();
  const int result = act.Leave(REAL(dup3)(from, to, flags));
  if (result >= 0) DidDupDescriptor(from, to);
  return result;
}

namespace {

// One fcntl by what its command does. The argument is passed on as it came: an int or a pointer.
template <typename RealFunction>
IPCTRACE_INLINE int Fcntl(Call probe, RealFunction* real, int fd, int command, void* argument,
                          uint64_t return_address, uint64_t sp) {
  const auto number = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(argument));
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC: {
      Act act(Call::fact_fcntl_dupfd, fd, 0, return_address, sp);
      act->a = command == F_DUPFD_CLOEXEC;
      act->b = static_cast<uint32_t>(number);
      act.Enter();
      const int result = act.Leave(real(fd, command, argument));
      if (result >= 0) DidDupDescriptor(fd, result);
      return result;
    }
    case F_SETFD: {
      Act act(Call::fact_fcntl_setfd, fd, 0, return_address, sp);
      act->a = number & FD_CLOEXEC;
      act.Enter();
      return act.Leave(real(fd, command, argument));
    }
    case F_SETFL: {
      Act act(Call::fact_fcntl_setfl, fd, 0, return_address, sp);
      act.Enter();
      const int result = real(fd, command, argument);
      if (act.Return(result) && result == 0) {
        act->a = static_cast<uint32_t>(Raw(SYS_fcntl, fd, F_GETFL));
      }
      act.Done();
      return result;
    }
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_SETLK:
    case F_OFD_SETLKW: {
      Act act(Call::fact_fcntl_lock, fd, 0, return_address, sp);
      const auto* lock = static_cast<const struct flock*>(argument);
      if (!act.lost() && Readable(lock, sizeof(*lock))) {
        act->a = lock->l_type == F_RDLCK ? 1 : lock->l_type == F_WRLCK ? 2 : 0;
        act->c = static_cast<uint64_t>(lock->l_start);
      }
      act->b = command == F_SETLKW || command == F_OFD_SETLKW;
      act.Enter();
      return act.Leave(real(fd, command, argument));
    }
    default: {
      Act act(probe, fd, 0, return_address, sp);
      act->a = static_cast<uint32_t>(command);
      act.Enter();
      return act.Leave(real(fd, command, argument));
    }
  }
}

}  // namespace

#define FCNTL(name)                                                                            \
  INTERPOSE(name)(int fd, int command, ...) {                                                  \
    va_list list;                                                                              \
    va_start(list, command);                                                                   \
    void* const argument = va_arg(list, void*);                                                \
    va_end(list);                                                                              \
    return Fcntl(Call::name, REAL(name), fd, command, argument,                                \
                 reinterpret_cast<uint64_t>(__builtin_return_address(0)),                      \
                 reinterpret_cast<uint64_t>(__builtin_dwarf_cfa()));                           \
  }
FCNTL(fcntl)
FCNTL(fcntl64)

ALSO(__open, open);
ALSO(__open64, open64);
ALSO(__close, close);
ALSO(__dup2, dup2);
ALSO(__pipe, pipe);
ALSO(__fcntl, fcntl);

}  // namespace ipctrace

// Descriptors without a name, and transfers between descriptors inside the kernel.
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "preload/descriptor_facts.h"
#include "preload/interpose.h"
#include "preload/payload.h"
#include "preload/readable.h"
#include "preload/streams.h"

namespace ipctrace {
namespace {

void EnterAnonymous(Act& act, AnonymousKind kind, int flags) {
  act->a = static_cast<uint64_t>(kind);
  act->b = static_cast<uint32_t>(flags);
  act.Enter();
}

int LeaveNew(Act& act, int fd) {
  if (act.Return(fd) && fd >= 0) BlobNewDescriptor(act, fd);
  act.Done();
  return fd;
}

}  // namespace

#define ANONYMOUS(name, parameters, arguments, kind, flags)  \
  INTERPOSE(name) parameters {                               \
    Act act(Call::name, -1);                                 \
    EnterAnonymous(act, AnonymousKind::kind, flags);         \
    return LeaveNew(act, REAL(name) arguments);              \
  }
ANONYMOUS(eventfd, (unsigned value, int flags), (value, flags), kEventfd, flags)
ANONYMOUS(timerfd_create, (clockid_t clock, int flags), (clock, flags), kTimerfd, flags)
ANONYMOUS(epoll_create, (int size), (size), kEpoll, 0)
ANONYMOUS(epoll_create1, (int flags), (flags), kEpoll, flags)
ANONYMOUS(inotify_init, (), (), kInotify, 0)
ANONYMOUS(inotify_init1, (int flags), (flags), kInotify, flags)
ANONYMOUS(memfd_create, (const char* name, unsigned flags), (name, flags), kMemfd,
          static_cast<int>(flags))
ANONYMOUS(pidfd_open, (pid_t pid, unsigned flags), (pid, flags), kPidfd, static_cast<int>(flags))
ANONYMOUS(pidfd_getfd, (int pidfd, int fd, unsigned flags), (pidfd, fd, flags), kOther,
          static_cast<int>(flags))
ANONYMOUS(posix_openpt, (int flags), (flags), kPty, flags)
ANONYMOUS(getpt, (), (), kPty, 0)

// With a descriptor given, signalfd changes that one.
INTERPOSE(signalfd)(int fd, const sigset_t* mask, int flags) {
  if (fd != -1) return REAL(signalfd)(fd, mask, flags);
  Act act(Call::signalfd, -1);
  EnterAnonymous(act, AnonymousKind::kSignalfd, flags);
  return LeaveNew(act, REAL(signalfd)(fd, mask, flags));
}

// Two descriptors come out of one call: the second is a record of its own.
INTERPOSE(openpty)(int* master, int* slave, char* name, const termios* terminal,
                   const winsize* size) {
  Act act(Call::openpty, -1);
  EnterAnonymous(act, AnonymousKind::kPty, 0);
  const int result = REAL(openpty)(master, slave, name, terminal, size);
  if (act.Return(result) && result == 0) {
    act->result = *master;
    BlobNewDescriptor(act, *master);
  }
  act.Done();
  if (result == 0) {
    Fact second(Call::fact_pty_slave);
    FdFact fact;
    second->a = static_cast<uint64_t>(AnonymousKind::kPty);
    second->result = *slave;
    if (DescribeDescriptor(*slave, kAskKernel, kAskKernel, &fact)) {
      second.Blob(BlobTag::kFds, &fact, sizeof(fact));
    }
    second.Done();
  }
  return result;
}

// --- Transfers -----------------------------------------------------------------------------------

namespace {
void BeforeTransfer(int from, int to) {
  BeforeRawUse(from);
  if (to != from) BeforeRawUse(to);
}

uint64_t TransferOffsets(const off64_t* from, const off64_t* to) {
  return (from != nullptr ? uint64_t{kTransferOwnFrom} : 0) |
         (to != nullptr ? uint64_t{kTransferOwnTo} : 0);
}
}  // namespace

#define SENDFILE(name)                                                           \
  INTERPOSE(name)(int to, int from, off64_t* offset, size_t size) {              \
    BeforeTransfer(from, to);                                                    \
    Act act(Call::name, from);                                                   \
    act->a = static_cast<uint32_t>(to);                                          \
    act->b = size;                                                               \
    act->c = TransferOffsets(offset, nullptr);                                   \
    act.Enter();                                                                 \
    return act.Leave(REAL(name)(to, from, offset, size));                        \
  }
SENDFILE(sendfile)
SENDFILE(sendfile64)

INTERPOSE(splice)(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t size,
                  unsigned flags) {
  BeforeTransfer(from, to);
  Act act(Call::splice, from, (flags & SPLICE_F_NONBLOCK) != 0 ? kRecordDontWait : 0);
  act->a = static_cast<uint32_t>(to);
  act->b = size;
  act->c = TransferOffsets(from_offset, to_offset);
  act.Enter();
  return act.Leave(REAL(splice)(from, from_offset, to, to_offset, size, flags));
}

INTERPOSE(tee)(int from, int to, size_t size, unsigned flags) {
  BeforeTransfer(from, to);
  Act act(Call::tee, from, (flags & SPLICE_F_NONBLOCK) != 0 ? kRecordDontWait : 0);
  act->a = static_cast<uint32_t>(to);
  act->b = size;
  act->c = kTransferTee;
  act.Enter();
  return act.Leave(REAL(tee)(from, to, size, flags));
}

INTERPOSE(copy_file_range)(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t size,
                           unsigned flags) {
  BeforeTransfer(from, to);
  Act act(Call::copy_file_range, from);
  act->a = static_cast<uint32_t>(to);
  act->b = size;
  act->c = TransferOffsets(from_offset, to_offset);
  act.Enter();
  return act.Leave(REAL(copy_file_range)(from, from_offset, to, to_offset, size, flags));
}

// Bytes of memory into a pipe: a write. (On a read end it is a read; the model knows the end.)
INTERPOSE(vmsplice)(int fd, const iovec* vectors, size_t count, unsigned flags) {
  BeforeRawUse(fd);
  Act act(Call::vmsplice, fd, (flags & SPLICE_F_NONBLOCK) != 0 ? kRecordDontWait : 0);
  act->a = VectorBytes(vectors, count);
  act.Enter();
  return act.Leave(REAL(vmsplice)(fd, vectors, count, flags));
}

// --- Mappings ------------------------------------------------------------------------------------

#define MMAP(name)                                                                            \
  INTERPOSE(name)(void* address, size_t size, int protection, int flags, int fd,              \
                  off64_t offset) {                                                           \
    if ((flags & MAP_ANONYMOUS) != 0) {                                                       \
      return REAL(name)(address, size, protection, flags, fd, offset);                        \
    }                                                                                         \
    Act act(Call::name, fd);                                                                  \
    act.Enter();                                                                              \
    void* const result = REAL(name)(address, size, protection, flags, fd, offset);            \
    act.Leave(reinterpret_cast<long>(result));                                                \
    return result;                                                                            \
  }
MMAP(mmap)
MMAP(mmap64)

}  // namespace ipctrace

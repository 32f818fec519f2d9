// Rarer ways to make a descriptor, to copy and close some, and to use them.
#include <aio.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>
#include <utmp.h>

#include "preload/descriptor_facts.h"
#include "preload/interpose.h"
#include "preload/payload.h"
#include "preload/readable.h"
#include "preload/streams.h"
#include "preload/undeclared.h"

namespace ipctrace {
namespace {

int LeaveNew(Act& act, int fd) {
  if (act.Return(fd) && fd >= 0) BlobNewDescriptor(act, fd);
  act.Done();
  return fd;
}

void EnterNew(Act& act, bool close_on_exec) {
  act->a = static_cast<uint64_t>(AnonymousKind::kOther);
  act->b = close_on_exec ? O_CLOEXEC : 0;
  act.Enter();
}

}  // namespace

// --- Births --------------------------------------------------------------------------------------

INTERPOSE(shm_open)(const char* name, int flags, mode_t mode) {
  Act act(Call::shm_open, -1);
  act->a = static_cast<uint32_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  act->b = mode;
  BlobString(act, BlobTag::kPath, name);
  act.Enter();
  return LeaveNew(act, REAL(shm_open)(name, flags, mode));
}

#define NEW(name, parameters, arguments, close_on_exec) \
  INTERPOSE(name) parameters {                          \
    Act act(Call::name, -1);                            \
    EnterNew(act, close_on_exec);                       \
    return LeaveNew(act, REAL(name) arguments);         \
  }
NEW(fanotify_init, (unsigned flags, unsigned event_flags), (flags, event_flags),
    (flags & FAN_CLOEXEC) != 0)
NEW(fsopen, (const char* type, unsigned flags), (type, flags), (flags & FSOPEN_CLOEXEC) != 0)
NEW(fsmount, (int fd, unsigned flags, unsigned attributes), (fd, flags, attributes),
    (flags & FSMOUNT_CLOEXEC) != 0)
NEW(fspick, (int directory, const char* path, unsigned flags), (directory, path, flags),
    (flags & FSPICK_CLOEXEC) != 0)
NEW(open_tree, (int directory, const char* path, unsigned flags), (directory, path, flags),
    (flags & OPEN_TREE_CLOEXEC) != 0)
NEW(open_by_handle_at, (int mount, struct file_handle* handle, int flags), (mount, handle, flags),
    (flags & O_CLOEXEC) != 0)
// A message queue's descriptor is one like any other, and always close-on-exec.
NEW(__mq_open_2, (const char* name, int flags), (name, flags), true)

INTERPOSE(mq_open)(const char* name, int flags, ...) {
  mode_t mode = 0;
  mq_attr* attributes = nullptr;
  if ((flags & O_CREAT) != 0) {
    va_list list;
    va_start(list, flags);
    mode = va_arg(list, mode_t);
    attributes = va_arg(list, mq_attr*);
    va_end(list);
  }
  Act act(Call::mq_open, -1);
  EnterNew(act, true);
  return LeaveNew(act, REAL(mq_open)(name, flags, mode, attributes));
}

INTERPOSE(mq_close)(mqd_t queue) {
  Act act(Call::mq_close, queue);
  act.Enter();
  return act.Leave(REAL(mq_close)(queue));
}

// Makes a terminal 0, 1 and 2, and closes it where it was none of them.
INTERPOSE(login_tty)(int fd) {
  Act act(Call::login_tty, fd);
  act.Enter();
  const int result = act.Leave(REAL(login_tty)(fd));
  if (result != 0) return result;
  SayStandardDescriptors();
  for (int standard = 0; standard < 3; ++standard) DidDupDescriptor(fd, standard);
  if (fd > 2) {
    Fact close(Call::fact_login_close, fd);
    close.Done();
    DidCloseDescriptor(fd);
  }
  return result;
}

// --- Bytes ---------------------------------------------------------------------------------------

INTERPOSE(eventfd_read)(int fd, eventfd_t* value) {
  Act act(Call::eventfd_read, fd);
  act->a = sizeof(*value);
  act.Enter();
  const int result = REAL(eventfd_read)(fd, value);
  act.Leave(result == 0 ? static_cast<long>(sizeof(*value)) : -1);
  return result;
}

INTERPOSE(eventfd_write)(int fd, eventfd_t value) {
  Act act(Call::eventfd_write, fd);
  act->a = sizeof(value);
  act.Enter();
  const int result = REAL(eventfd_write)(fd, value);
  act.Leave(result == 0 ? static_cast<long>(sizeof(value)) : -1);
  return result;
}

// A thread of libc's own will write; at most so much.
#define AIO_WRITE(name, block)             \
  INTERPOSE(name)(block * request) {       \
    NoteInside(#name, false);              \
    Act act(Call::name, -1);               \
    act->b = request->aio_nbytes;          \
    act.Enter();                           \
    return act.Leave(REAL(name)(request)); \
  }
AIO_WRITE(aio_write, struct aiocb)
AIO_WRITE(aio_write64, struct aiocb64)

#define LIO_LISTIO(name, block)                                                          \
  INTERPOSE(name)(int mode, block* const* requests, int count, struct sigevent* event) { \
    NoteInside(#name, false);                                                            \
    Act act(Call::name, -1);                                                             \
    for (int i = 0; i < count; ++i) {                                                    \
      if (requests[i] != nullptr && requests[i]->aio_lio_opcode == LIO_WRITE)            \
        act->b += requests[i]->aio_nbytes;                                               \
    }                                                                                    \
    act.Enter();                                                                         \
    return act.Leave(REAL(name)(mode, requests, count, event));                          \
  }
LIO_LISTIO(lio_listio, struct aiocb)
LIO_LISTIO(lio_listio64, struct aiocb64)

INTERPOSE(backtrace_symbols_fd)(void* const* addresses, int count, int fd) {
  BeforeRawUse(fd);
  Act act(Call::backtrace_symbols_fd, fd);
  constexpr uint64_t kMostOfLine = 4096;
  act->b = count > 0 ? static_cast<uint64_t>(count) * kMostOfLine : 0;
  act.Enter();
  REAL(backtrace_symbols_fd)(addresses, count, fd);
  act.Leave(0);
}

ALSO(__backtrace_symbols_fd, backtrace_symbols_fd);

}  // namespace ipctrace

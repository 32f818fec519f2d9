// Bytes through descriptors. The hot ones: see recorder.h for what a call costs.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include "preload/hot_act.h"
#include "preload/interpose.h"
#include "preload/payload.h"
#include "preload/streams.h"
#include "preload/undeclared.h"

namespace ipctrace {
namespace {

ssize_t LeaveVectors(Act& act, ssize_t moved, const iovec* vectors, int count) {
  if (act.Return(moved) && moved > 0) {
    RecordVectorPayload(act, vectors, static_cast<uint64_t>(count), static_cast<size_t>(moved));
  }
  act.Done();
  return moved;
}

}  // namespace

INTERPOSE_BYTES(read, (int fd, void* data, size_t size), (fd, data, size), 0)
INTERPOSE_BYTES(__read_chk, (int fd, void* data, size_t size, size_t room), (fd, data, size, room),
                0)
INTERPOSE_BYTES(write, (int fd, const void* data, size_t size), (fd, data, size), 0)

#define VECTORS(name)                                                         \
  INTERPOSE(name)(int fd, const iovec* vectors, int count) {                  \
    BeforeRawUse(fd);                                                         \
    Act act(Call::name, fd);                                                  \
    act->a = VectorBytes(vectors, static_cast<uint64_t>(count));              \
    act.Enter();                                                              \
    return LeaveVectors(act, REAL(name)(fd, vectors, count), vectors, count); \
  }
VECTORS(readv)
VECTORS(writev)

// Positioned calls: b is the offset, so there is no preview.
#define POSITIONED(name, pointer)                                                 \
  INTERPOSE(name)(int fd, pointer data, size_t size, off64_t offset) {            \
    BeforePositionedUse(fd);                                                      \
    Act act(Call::name, fd);                                                      \
    act->a = size;                                                                \
    act->b = static_cast<uint64_t>(offset);                                       \
    act.Enter();                                                                  \
    return act.Leave(AfterPositionedUse(fd, REAL(name)(fd, data, size, offset))); \
  }
POSITIONED(pread, void*)
POSITIONED(pread64, void*)
POSITIONED(pwrite, const void*)
POSITIONED(pwrite64, const void*)

#define POSITIONED_CHECKED(name)                                                        \
  INTERPOSE(name)(int fd, void* data, size_t size, off64_t offset, size_t room) {       \
    BeforePositionedUse(fd);                                                            \
    Act act(Call::name, fd);                                                            \
    act->a = size;                                                                      \
    act->b = static_cast<uint64_t>(offset);                                             \
    act.Enter();                                                                        \
    return act.Leave(AfterPositionedUse(fd, REAL(name)(fd, data, size, offset, room))); \
  }
POSITIONED_CHECKED(__pread_chk)
POSITIONED_CHECKED(__pread64_chk)

#define POSITIONED_VECTORS(name)                                                      \
  INTERPOSE(name)(int fd, const iovec* vectors, int count, off64_t offset) {          \
    BeforePositionedUse(fd);                                                          \
    Act act(Call::name, fd);                                                          \
    act->a = VectorBytes(vectors, static_cast<uint64_t>(count));                      \
    act->b = static_cast<uint64_t>(offset);                                           \
    act.Enter();                                                                      \
    return act.Leave(AfterPositionedUse(fd, REAL(name)(fd, vectors, count, offset))); \
  }
POSITIONED_VECTORS(preadv)
POSITIONED_VECTORS(preadv64)
POSITIONED_VECTORS(pwritev)
POSITIONED_VECTORS(pwritev64)

#define POSITIONED_VECTORS_2(name)                                                           \
  INTERPOSE(name)(int fd, const iovec* vectors, int count, off64_t offset, int flags) {      \
    BeforePositionedUse(fd);                                                                 \
    Act act(Call::name, fd);                                                                 \
    act->a = VectorBytes(vectors, static_cast<uint64_t>(count));                             \
    act->b = static_cast<uint64_t>(offset);                                                  \
    act.Enter();                                                                             \
    return act.Leave(AfterPositionedUse(fd, REAL(name)(fd, vectors, count, offset, flags))); \
  }
POSITIONED_VECTORS_2(preadv2)
POSITIONED_VECTORS_2(preadv64v2)
POSITIONED_VECTORS_2(pwritev2)
POSITIONED_VECTORS_2(pwritev64v2)

#define SEEK(name)                                                            \
  INTERPOSE(name)(int fd, off64_t offset, int whence) {                       \
    BeforePositionedUse(fd);                                                  \
    Act act(Call::name, fd);                                                  \
    act->a = static_cast<uint64_t>(offset);                                   \
    act->b = static_cast<uint32_t>(whence);                                   \
    act.Enter();                                                              \
    return act.Leave(AfterPositionedUse(fd, REAL(name)(fd, offset, whence))); \
  }
SEEK(lseek)
SEEK(lseek64)

#define TRUNCATE(name)                        \
  INTERPOSE(name)(int fd, off64_t length) {   \
    Act act(Call::name, fd);                  \
    act->a = static_cast<uint64_t>(length);   \
    act.Enter();                              \
    return act.Leave(REAL(name)(fd, length)); \
  }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

// dprintf formats and writes in one go: what was asked is known when it returns. What was written
// is formatted once more where a protocol watches. `list` is a copy.
namespace {
void LeaveFormat(Act& act, int result, const char* format, va_list list, int error) {
  if (act.Return(result) && result > 0) {
    act->a = static_cast<uint32_t>(result);
    if (session.payload && Watched(act->fd)) {
      const FormattedAgain again(result, format, list, error);
      if (again.text() != nullptr) RecordPayload(act, again.text(), static_cast<size_t>(result));
    }
  }
  act.Done();
}
}  // namespace

INTERPOSE(vdprintf)(int fd, const char* format, va_list list) {
  BeforeRawUse(fd);
  Act act(Call::vdprintf, fd);
  act.Enter();
  va_list again;
  va_copy(again, list);
  const int error = errno;
  const int result = REAL(vdprintf)(fd, format, list);
  LeaveFormat(act, result, format, again, error);
  va_end(again);
  return result;
}

INTERPOSE(__vdprintf_chk)(int fd, int flag, const char* format, va_list list) {
  BeforeRawUse(fd);
  Act act(Call::__vdprintf_chk, fd);
  act.Enter();
  va_list again;
  va_copy(again, list);
  const int error = errno;
  const int result = REAL(__vdprintf_chk)(fd, flag, format, list);
  LeaveFormat(act, result, format, again, error);
  va_end(again);
  return result;
}

INTERPOSE(dprintf)(int fd, const char* format, ...) {
  BeforeRawUse(fd);
  Act act(Call::dprintf, fd);
  act.Enter();
  va_list list;
  va_start(list, format);
  va_list again;
  va_copy(again, list);
  const int error = errno;
  const int result = REAL(vdprintf)(fd, format, list);
  va_end(list);
  LeaveFormat(act, result, format, again, error);
  va_end(again);
  return result;
}

INTERPOSE(__dprintf_chk)(int fd, int flag, const char* format, ...) {
  BeforeRawUse(fd);
  Act act(Call::__dprintf_chk, fd);
  act.Enter();
  va_list list;
  va_start(list, format);
  va_list again;
  va_copy(again, list);
  const int error = errno;
  const int result = REAL(__vdprintf_chk)(fd, flag, format, list);
  va_end(list);
  LeaveFormat(act, result, format, again, error);
  va_end(again);
  return result;
}

ALSO(__read, read);
ALSO(__write, write);
ALSO(__pread64, pread64);
ALSO(__pwrite64, pwrite64);
ALSO(__lseek, lseek);

}  // namespace ipctrace

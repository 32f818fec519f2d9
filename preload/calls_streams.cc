// Streams' births and ends, positions and buffers; popen.
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio_ext.h>
#include <string.h>

#include "preload/descriptor_facts.h"
#include "preload/environment.h"
#include "preload/interpose.h"
#include "preload/readable.h"
#include "preload/stream_acts.h"
#include "preload/undeclared.h"

namespace ipctrace {
namespace {

uint32_t ModeFlags(const char* mode) {
  if (mode == nullptr) return 0;
  uint32_t flags = mode[0] == 'r'   ? O_RDONLY
                   : mode[0] == 'w' ? O_WRONLY | O_CREAT | O_TRUNC
                                    : O_WRONLY | O_CREAT | O_APPEND;
  for (int i = 1; i < 8 && mode[i] != 0 && mode[i] != ','; ++i) {
    if (mode[i] == '+') flags = (flags & ~uint32_t{O_ACCMODE}) | O_RDWR;
    if (mode[i] == 'e') flags |= O_CLOEXEC;
    if (mode[i] == 'x') flags |= O_EXCL;
  }
  return flags;
}

FILE* LeaveStreamOpen(Act& act, FILE* stream) {
  const int saved = errno;
  if (stream != nullptr) DidOpenStream(stream);
  if (act.Return(stream != nullptr)) {
    if (stream != nullptr) {
      act->fd = NumberOf(stream);
      act->a = reinterpret_cast<uint64_t>(stream);
      if (NumberOf(stream) >= 0) BlobNewDescriptor(act, NumberOf(stream));
    } else {
      act->err = saved;
    }
  }
  act.Done();
  return stream;
}

}  // namespace

#define FOPEN(name)                                      \
  INTERPOSE(name)(const char* path, const char* mode) {  \
    Act act(Call::name, -1);                             \
    act->b = 1;                                          \
    act->c = ModeFlags(mode);                            \
    BlobString(act, BlobTag::kPath, path);               \
    act.Enter();                                         \
    return LeaveStreamOpen(act, REAL(name)(path, mode)); \
  }
FOPEN(fopen)
FOPEN(fopen64)
FOPEN(_IO_fopen)

#define FDOPEN(name)                                   \
  INTERPOSE(name)(int fd, const char* mode) {          \
    Act act(Call::name, fd);                           \
    act->c = ModeFlags(mode);                          \
    act.Enter();                                       \
    return LeaveStreamOpen(act, REAL(name)(fd, mode)); \
  }
FDOPEN(fdopen)
FDOPEN(_IO_fdopen)

// A stream like any other.
INTERPOSE(setmntent)(const char* path, const char* mode) {
  Act act(Call::setmntent, -1);
  act->b = 1;
  act->c = ModeFlags(mode) | O_CLOEXEC;
  BlobString(act, BlobTag::kPath, path);
  act.Enter();
  return LeaveStreamOpen(act, REAL(setmntent)(path, mode));
}
ALSO(__setmntent, setmntent);

#define TMPFILE(name)                          \
  INTERPOSE(name)() {                          \
    Act act(Call::name, -1);                   \
    act->b = 1;                                \
    act->c = O_RDWR | O_CREAT | O_EXCL;        \
    act.Enter();                               \
    return LeaveStreamOpen(act, REAL(name)()); \
  }
TMPFILE(tmpfile)
TMPFILE(tmpfile64)

#define FREOPEN(name)                                                 \
  INTERPOSE(name)(const char* path, const char* mode, FILE* stream) { \
    const uint64_t pending = AllPending(stream);                      \
    Act act(Call::name, NumberOf(stream));                            \
    act->a = reinterpret_cast<uint64_t>(stream);                      \
    RecordPending(act, stream);                                       \
    if (path != nullptr) BlobString(act, BlobTag::kPath, path);       \
    act.Enter();                                                      \
    WillCloseStream(stream);                                          \
    FILE* const result = REAL(name)(path, mode, stream);              \
    const int saved = errno;                                          \
    if (result != nullptr) DidOpenStream(result);                     \
    if (act.Return(result != nullptr)) {                              \
      if (result != nullptr) {                                        \
        act->b = static_cast<uint32_t>(NumberOf(result));             \
        BlobNewDescriptor(act, NumberOf(result));                     \
      } else {                                                        \
        act->err = saved;                                             \
      }                                                               \
      act->c = pending;                                               \
    }                                                                 \
    act.Done();                                                       \
    return result;                                                    \
  }
FREOPEN(freopen)
FREOPEN(freopen64)

#define FCLOSE(name)                             \
  INTERPOSE(name)(FILE * stream) {               \
    const uint64_t pending = AllPending(stream); \
    const uint64_t ahead = AllAhead(stream);     \
    Act act(Call::name, NumberOf(stream));       \
    act->a = reinterpret_cast<uint64_t>(stream); \
    RecordPending(act, stream);                  \
    act.Enter();                                 \
    WillCloseStream(stream);                     \
    const int result = REAL(name)(stream);       \
    if (act.Return(result)) {                    \
      act->b = result == 0 ? pending : 0;        \
      act->c = ahead;                            \
    }                                            \
    act.Done();                                  \
    return result;                               \
  }
FCLOSE(fclose)
FCLOSE(_IO_fclose)

INTERPOSE(endmntent)(FILE* stream) {
  if (stream == nullptr) return REAL(endmntent)(stream);
  Act act(Call::endmntent, NumberOf(stream));
  act->a = reinterpret_cast<uint64_t>(stream);
  act->c = AllAhead(stream);
  act.Enter();
  WillCloseStream(stream);
  const int result = REAL(endmntent)(stream);
  act.Return(0);
  act.Done();
  return result;
}
ALSO(__endmntent, endmntent);

// Flushes all streams; closes none in glibc.
INTERPOSE(fcloseall)() {
  ManyStreams streams;
  const int result = REAL(fcloseall)();
  streams.Report();
  return result;
}

// Throws away what the buffer holds, either way.
INTERPOSE(__fpurge)(FILE* stream) {
  if (AllPending(stream) == 0 && AllAhead(stream) == 0) return REAL(__fpurge)(stream);
  Act act(Call::__fpurge, NumberOf(stream));
  act->a = reinterpret_cast<uint64_t>(stream);
  act.Enter();
  REAL(__fpurge)(stream);
  act.Leave(0);
}

#define SEEK(name, parameters, arguments, whence_of)  \
  INTERPOSE(name) parameters {                        \
    const uint64_t pending = AllPending(stream);      \
    Act act(Call::name, NumberOf(stream));            \
    act->a = reinterpret_cast<uint64_t>(stream);      \
    act->c = static_cast<uint32_t>(whence_of);        \
    RecordPending(act, stream);                       \
    act.Enter();                                      \
    const int result = REAL(name) arguments;          \
    if (act.Return(result)) {                         \
      const uint64_t after = AllPending(stream);      \
      act->b = pending > after ? pending - after : 0; \
    }                                                 \
    act.Done();                                       \
    return result;                                    \
  }
SEEK(fseek, (FILE * stream, long offset, int whence), (stream, offset, whence), whence)
SEEK(fseeko, (FILE * stream, off_t offset, int whence), (stream, offset, whence), whence)
SEEK(fseeko64, (FILE * stream, off64_t offset, int whence), (stream, offset, whence), whence)
SEEK(fsetpos, (FILE * stream, const fpos_t* position), (stream, position), SEEK_SET)
SEEK(fsetpos64, (FILE * stream, const fpos64_t* position), (stream, position), SEEK_SET)
SEEK(_IO_fsetpos, (FILE * stream, const fpos_t* position), (stream, position), SEEK_SET)
SEEK(_IO_fsetpos64, (FILE * stream, const fpos64_t* position), (stream, position), SEEK_SET)

INTERPOSE(rewind)(FILE* stream) {
  const uint64_t pending = AllPending(stream);
  Act act(Call::rewind, NumberOf(stream));
  act->a = reinterpret_cast<uint64_t>(stream);
  RecordPending(act, stream);
  act.Enter();
  // It returns nothing: that it failed, only errno says.
  const int before = errno;
  errno = 0;
  REAL(rewind)(stream);
  if (act.Return(errno == 0 ? 0 : -1)) {
    const uint64_t after = AllPending(stream);
    act->b = pending > after ? pending - after : 0;
  }
  if (errno == 0) errno = before;
  act.Done();
}

#define SETVBUF(name)                                                   \
  INTERPOSE(name)(FILE * stream, char* buffer, int mode, size_t size) { \
    Act act(Call::name, NumberOf(stream));                              \
    act->a = reinterpret_cast<uint64_t>(stream);                        \
    act->b = static_cast<uint32_t>(mode);                               \
    act.Enter();                                                        \
    return act.Leave(REAL(name)(stream, buffer, mode, size));           \
  }
SETVBUF(setvbuf)
SETVBUF(_IO_setvbuf)

#define SETBUF(name, parameters, arguments, mode) \
  INTERPOSE(name) parameters {                    \
    Act act(Call::name, NumberOf(stream));        \
    act->a = reinterpret_cast<uint64_t>(stream);  \
    act->b = static_cast<uint32_t>(mode);         \
    act.Enter();                                  \
    REAL(name) arguments;                         \
    act.Leave(0);                                 \
  }
SETBUF(setbuf, (FILE * stream, char* buffer), (stream, buffer), buffer == nullptr ? _IONBF : _IOFBF)
SETBUF(setbuffer, (FILE * stream, char* buffer, size_t size), (stream, buffer, size),
       buffer == nullptr ? _IONBF : _IOFBF)
SETBUF(_IO_setbuffer, (FILE * stream, char* buffer, size_t size), (stream, buffer, size),
       buffer == nullptr ? _IONBF : _IOFBF)
SETBUF(setlinebuf, (FILE * stream), (stream), _IOLBF)

// --- popen ---------------------------------------------------------------------------------------

namespace {
// libc keeps the child's pid right behind the FILE and its table of functions.
pid_t ChildOf(const FILE* stream) {
  pid_t pid;
  memcpy(&pid, reinterpret_cast<const char*>(stream) + sizeof(FILE) + sizeof(void*), sizeof(pid));
  return pid;
}
}  // namespace

#define POPEN(name)                                        \
  INTERPOSE(name)(const char* command, const char* mode) { \
    EnsureEnvironment();                                   \
    Act act(Call::name, -1);                               \
    act->b = mode != nullptr && mode[0] == 'w';            \
    BlobString(act, BlobTag::kPath, command);              \
    act.Enter();                                           \
    FILE* const stream = REAL(name)(command, mode);        \
    if (stream != nullptr && !act.lost()) {                \
      act->c = static_cast<uint32_t>(ChildOf(stream));     \
    }                                                      \
    return LeaveStreamOpen(act, stream);                   \
  }
POPEN(popen)
POPEN(_IO_popen)

INTERPOSE(pclose)(FILE* stream) {
  const uint64_t pending = AllPending(stream);
  Act act(Call::pclose, NumberOf(stream));
  act->a = reinterpret_cast<uint64_t>(stream);
  RecordPending(act, stream);
  act.Enter();
  WillCloseStream(stream);
  const int result = REAL(pclose)(stream);
  if (act.Return(result)) act->b = pending;
  act.Done();
  return result;
}

}  // namespace ipctrace

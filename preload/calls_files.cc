// Names and directories, temporary files, and what a descriptor is asked about itself.
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload/descriptor_facts.h"
#include "preload/interpose.h"
#include "preload/raw.h"
#include "preload/readable.h"
#include "preload/undeclared.h"

namespace ipctrace {

#define RECORD_NAMED(name, arguments)    \
  Act act(Call::name, -1);               \
  BlobString(act, BlobTag::kPath, path); \
  act.Enter();                           \
  return act.Leave(REAL(name) arguments);
#define NAMED(name, parameters, arguments) \
  INTERPOSE(name) parameters { RECORD_NAMED(name, arguments) }
NAMED(unlink, (const char* path), (path))
NAMED(unlinkat, (int directory, const char* path, int flags), (directory, path, flags))
NAMED(remove, (const char* path), (path))

#define FIFO(name, parameters, arguments) \
  INTERPOSE(name) parameters {            \
    NoteFifos();                          \
    RECORD_NAMED(name, arguments)         \
  }
FIFO(mkfifo, (const char* path, mode_t mode), (path, mode))
FIFO(mkfifoat, (int directory, const char* path, mode_t mode), (directory, path, mode))

// Other nodes than FIFOs are of no interest.
#define NODE(name, parameters, arguments)             \
  INTERPOSE(name) parameters {                        \
    if (!S_ISFIFO(mode)) return REAL(name) arguments; \
    NoteFifos();                                      \
    RECORD_NAMED(name, arguments)                     \
  }
NODE(mknod, (const char* path, mode_t mode, dev_t device), (path, mode, device))
NODE(mknodat, (int directory, const char* path, mode_t mode, dev_t device),
     (directory, path, mode, device))
NODE(__xmknod, (int version, const char* path, mode_t mode, dev_t* device),
     (version, path, mode, device))
NODE(__xmknodat, (int version, int directory, const char* path, mode_t mode, dev_t* device),
     (version, directory, path, mode, device))

// --- Temporary files: the name is known when they are made ---------------------------------------

#define MKSTEMP(name, parameters, arguments, flags)                    \
  INTERPOSE(name) parameters {                                         \
    Act act(Call::name, -1);                                           \
    act->a = O_RDWR | O_CREAT | O_EXCL | static_cast<uint32_t>(flags); \
    act->b = 0600;                                                     \
    act.Enter();                                                       \
    const int fd = REAL(name) arguments;                               \
    if (act.Return(fd) && fd >= 0) {                                   \
      BlobString(act, BlobTag::kPath, pattern);                        \
      BlobNewDescriptor(act, fd);                                      \
    }                                                                  \
    act.Done();                                                        \
    return fd;                                                         \
  }
MKSTEMP(mkstemp, (char* pattern), (pattern), 0)
MKSTEMP(mkstemp64, (char* pattern), (pattern), 0)
MKSTEMP(mkostemp, (char* pattern, int flags), (pattern, flags), flags)
MKSTEMP(mkostemp64, (char* pattern, int flags), (pattern, flags), flags)
MKSTEMP(mkstemps, (char* pattern, int suffix), (pattern, suffix), 0)
MKSTEMP(mkstemps64, (char* pattern, int suffix), (pattern, suffix), 0)
MKSTEMP(mkostemps, (char* pattern, int suffix, int flags), (pattern, suffix, flags), flags)
MKSTEMP(mkostemps64, (char* pattern, int suffix, int flags), (pattern, suffix, flags), flags)

// --- Directories ---------------------------------------------------------------------------------

namespace {
DIR* LeaveOpendir(Act& act, DIR* directory) {
  const int saved = errno;
  if (act.Return(directory != nullptr)) {
    if (directory == nullptr) {
      act->err = saved;
    } else {
      act->fd = dirfd(directory);
      act->a = reinterpret_cast<uint64_t>(directory);
      BlobNewDescriptor(act, act->fd);
    }
  }
  act.Done();
  return directory;
}
}  // namespace

INTERPOSE(opendir)(const char* path) {
  Act act(Call::opendir, -1);
  act->b = 1;
  BlobString(act, BlobTag::kPath, path);
  act.Enter();
  return LeaveOpendir(act, REAL(opendir)(path));
}

INTERPOSE(fdopendir)(int fd) {
  Act act(Call::fdopendir, fd);
  act.Enter();
  return LeaveOpendir(act, REAL(fdopendir)(fd));
}

INTERPOSE(closedir)(DIR* directory) {
  if (directory == nullptr) return REAL(closedir)(directory);
  Act act(Call::closedir, dirfd(directory));
  act->a = reinterpret_cast<uint64_t>(directory);
  act.Enter();
  return act.Leave(REAL(closedir)(directory));
}

// --- The file as a whole -------------------------------------------------------------------------

#define WHOLE(name, parameters, arguments)  \
  INTERPOSE(name) parameters {              \
    Act act(Call::name, fd);                \
    act.Enter();                            \
    return act.Leave(REAL(name) arguments); \
  }
WHOLE(fsync, (int fd), (fd))
WHOLE(fdatasync, (int fd), (fd))
WHOLE(fchmod, (int fd, mode_t mode), (fd, mode))
WHOLE(fchown, (int fd, uid_t user, gid_t group), (fd, user, group))
WHOLE(fchdir, (int fd), (fd))

// --- Questions -----------------------------------------------------------------------------------

INTERPOSE(ioctl)(int fd, unsigned long request, ...) {
  va_list list;
  va_start(list, request);
  void* const argument = va_arg(list, void*);
  va_end(list);
  switch (request) {
    case FIOCLEX:
    case FIONCLEX: {
      Act act(Call::fact_ioctl_cloexec, fd);
      act->a = request == FIOCLEX;
      act.Enter();
      return act.Leave(REAL(ioctl)(fd, request, argument));
    }
    case FIONBIO:
    case FIOASYNC: {
      Act act(Call::fact_ioctl_nonblock, fd);
      act.Enter();
      const int result = REAL(ioctl)(fd, request, argument);
      if (act.Return(result) && result == 0) {
        act->a = static_cast<uint32_t>(Raw(SYS_fcntl, fd, F_GETFL));
      }
      act.Done();
      return result;
    }
    default: {
      Act act(Call::ioctl, fd);
      act->a = request;
      act.Enter();
      return act.Leave(REAL(ioctl)(fd, request, argument));
    }
  }
}

}  // namespace ipctrace

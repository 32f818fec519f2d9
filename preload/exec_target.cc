#include "preload/exec_target.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload/interpose.h"
#include "preload/raw.h"
#include "preload/readable.h"

namespace ipctrace {
namespace {

// Set-user-ID and the like make the loader ignore LD_PRELOAD, where they change anything.
IPCTRACE_START_CODE bool IsPrivileged(long fd, const struct stat& status) {
  if ((status.st_mode & S_ISUID) != 0 && status.st_uid != Raw(SYS_getuid)) return true;
  if ((status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
      status.st_gid != Raw(SYS_getgid)) {
    return true;
  }
  return Raw(SYS_getuid) != 0 &&
         Raw(SYS_fgetxattr, fd, Address("security.capability"), 0, 0) > 0;
}

IPCTRACE_START_CODE bool IsUntraceable(int at, const char* path, int depth) {
  const bool itself = path[0] == 0;
  const long fd =
      itself ? at
             : Raw(SYS_openat, at, Address(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return false;  // not even readable: exec fails, or the program's hello says the rest
  alignas(8) char head[1024];
  struct stat status;
  const bool known = Raw(SYS_fstat, fd, Address(&status)) == 0 && S_ISREG(status.st_mode);
  const long bytes = known ? Raw(SYS_pread64, fd, Address(head), sizeof(head) - 1, 0) : -1;
  bool result = known && IsPrivileged(fd, status);
  if (!itself) Raw(SYS_close, fd);
  if (result) return true;
  if (bytes > 2 && head[0] == '#' && head[1] == '!' && depth < 4) {
    head[bytes] = 0;
    char* interpreter = head + 2;
    while (*interpreter == ' ' || *interpreter == '\t') ++interpreter;
    interpreter[strcspn(interpreter, " \t\n")] = 0;
    return IsUntraceable(AT_FDCWD, interpreter, depth + 1);
  }
  if (bytes < static_cast<long>(sizeof(Elf64_Ehdr)) || memcmp(head, ELFMAG, SELFMAG) != 0) {
    return false;
  }
  if (head[EI_CLASS] != ELFCLASS64) return true;
  const auto* elf = reinterpret_cast<const Elf64_Ehdr*>(head);
  for (int i = 0; i < elf->e_phnum; ++i) {
    const uint64_t offset = elf->e_phoff + uint64_t{elf->e_phentsize} * static_cast<uint64_t>(i);
    if (offset + sizeof(Elf64_Phdr) > static_cast<uint64_t>(bytes)) return false;  // cannot tell
    if (reinterpret_cast<const Elf64_Phdr*>(head + offset)->p_type == PT_INTERP) return false;
  }
  return true;
}

}  // namespace

IPCTRACE_START_CODE bool IsTraceable(int at, const char* path) {
  if (session.chunks == nullptr || ReadableLength(path, 4096) < 0) return true;
  return !IsUntraceable(at, path, 0);
}

IPCTRACE_START_CODE bool IsTraceableName(const char* name) {
  if (session.chunks == nullptr || ReadableLength(name, 4096) <= 0) return true;
  if (strchr(name, '/') != nullptr) return !IsUntraceable(AT_FDCWD, name, 0);
  const char* from = LIBC(getenv)("PATH");
  if (from == nullptr) from = "/bin:/usr/bin";
  const size_t length = strlen(name);
  char path[512];
  for (;;) {
    const size_t part = strcspn(from, ":");
    if (part + length + 2 <= sizeof(path)) {
      memcpy(path, from, part);
      path[part] = '/';
      memcpy(path + part + (part != 0), name, length + 1);
      if (Raw(SYS_faccessat, AT_FDCWD, Address(path), X_OK) == 0) {
        return !IsUntraceable(AT_FDCWD, path, 0);
      }
    }
    if (from[part] == 0) return true;
    from += part + 1;
  }
}

}  // namespace ipctrace

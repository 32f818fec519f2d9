#include "preload/payload.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "preload/raw.h"

namespace ipctrace {
namespace {

bool IsPort(uint16_t port) {
  for (const uint16_t each : session.ports) {
    if (each != 0 && each == port) return true;
  }
  return false;
}

// Its own or its peer's port. A socket that both sides have closed has no peer any more, and may
// still be read: who knows.
bool HasPort(int fd) {
  for (const long call : {SYS_getsockname, SYS_getpeername}) {
    sockaddr_storage address = {};
    socklen_t length = sizeof(address);
    if (Raw(call, fd, Address(&address), Address(&length)) != 0) return true;
    if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return false;
    // Both have it in the same place.
    if (IsPort(ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port))) return true;
  }
  return false;
}

}  // namespace

bool Watched(int fd) {
  struct stat status;
  if (Raw(SYS_fstat, fd, Address(&status)) != 0) return false;
  if (S_ISFIFO(status.st_mode)) return (session.options & kOptionPipePayload) != 0;
  if (!S_ISSOCK(status.st_mode) || (session.options & kOptionSocketPayload) == 0) return false;
  return session.ports[0] == 0 || HasPort(fd);
}

FormattedAgain::FormattedAgain(int length, const char* format, va_list list, int error)
    : size_(static_cast<size_t>(length) + 1) {
  // Not from malloc, which the program may be in, nor from the stack, which may be small.
  const long memory = Raw(SYS_mmap, 0, static_cast<long>(size_), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory < 0 && memory > -4096) return;
  memory_ = reinterpret_cast<char*>(memory);
  const int saved = errno;
  errno = error;  // for %m
  if (vsnprintf(memory_, size_, format, list) == length) text_ = memory_;
  errno = saved;
}

FormattedAgain::~FormattedAgain() {
  if (memory_ != nullptr) Raw(SYS_munmap, Address(memory_), static_cast<long>(size_));
}

}  // namespace ipctrace

// What the kernel knows of an open descriptor.
#ifndef IPCTRACE_PRELOAD_DESCRIPTOR_FACTS_H_
#define IPCTRACE_PRELOAD_DESCRIPTOR_FACTS_H_

#include <fcntl.h>
#include <sys/stat.h>

#include "preload/raw.h"
#include "preload/recorder.h"

namespace ipctrace {

inline constexpr uint32_t kAskKernel = ~uint32_t{0};

// `status` and `fd_flags` are asked of the kernel unless they are known. False: not open.
inline bool DescribeDescriptor(int fd, uint32_t status, uint32_t fd_flags, FdFact* fact) {
  struct stat found;
  fact->fd = fd;
  if (Raw(SYS_fstat, fd, Address(&found)) != 0) return false;
  fact->mode = found.st_mode;
  fact->device = found.st_dev;
  fact->inode = found.st_ino;
  fact->status =
      status != kAskKernel ? status : static_cast<uint32_t>(Raw(SYS_fcntl, fd, F_GETFL));
  fact->fd_flags =
      fd_flags != kAskKernel ? fd_flags : static_cast<uint32_t>(Raw(SYS_fcntl, fd, F_GETFD));
  return true;
}

// Writes the [Fds] of a call that made one descriptor.
inline void BlobNewDescriptor(Act& act, int fd, uint32_t status = kAskKernel,
                              uint32_t fd_flags = kAskKernel) {
  FdFact fact;
  if (act.lost()) return;
  if (DescribeDescriptor(fd, status, fd_flags, &fact)) act.Blob(BlobTag::kFds, &fact, sizeof(fact));
}

// Where libc has replaced the standard descriptors: what they are now.
inline void SayStandardDescriptors() {
  for (int fd = 0; fd < 3; ++fd) {
    FdFact fact;
    if (!DescribeDescriptor(fd, kAskKernel, kAskKernel, &fact)) continue;
    Fact open(Call::fact_new_standard);
    open->a = fact.status;
    open->result = fd;
    open.Blob(BlobTag::kFds, &fact, sizeof(fact));
    open.Done();
  }
}

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_DESCRIPTOR_FACTS_H_

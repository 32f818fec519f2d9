// What the kernel says of running processes (proc(5)), to check what the model believes.
#ifndef IPCTRACE_ANALYZER_LIVE_KERNEL_H_
#define IPCTRACE_ANALYZER_LIVE_KERNEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "preload/trace/ops.h"

namespace ipctrace {

// Whether the thread sleeps in a system call that an act of this op waits in, on this descriptor
// (-1: the op waits for none). Not so when it runs, is stopped or gone, or sleeps in something
// else: in a page fault, or in what another preloaded library does before it makes the call. Where
// the kernel does not let the system call be read (ptrace(2) may be forbidden), any sleep counts.
bool WaitsIn(int32_t pid, int32_t tid, Op op, int fd);

// A thread that sleeps in futex(2) without a timeout: at a mutex, a condition variable, a
// semaphore.
struct Parked {
  // How often it has been taken off a processor: the same while it sleeps on.
  uint64_t switches = 0;
  // The shared memory with the word that it waits at; 0: memory of its process alone, whose threads
  // only can wake it.
  uint64_t device = 0, inode = 0;
  friend bool operator==(const Parked&, const Parked&) = default;
};
// Nothing where it does not, or the kernel does not let that be read (ptrace(2) may be forbidden).
std::optional<Parked> ParkedAt(int32_t pid, int32_t tid);
// Where such a thread sleeps: a BlobTag::kStack (preload/trace/format.h) with the id 0 and no
// registers but rip and rsp. Empty where that may not be read.
std::string StackOfParked(int32_t pid, int32_t tid);
// How many threads the kernel counts in a process; 0 where it cannot be read.
size_t CountThreads(int32_t pid);
// Whether a process has the shared memory mapped; of those whose maps may not be read, false.
bool Maps(int32_t pid, uint64_t device, uint64_t inode);
// All processes.
std::vector<int32_t> AllPids();

// Processes that hold a pipe or socket with one of these inodes, as (inode, pid). Processes whose
// descriptors may not be read are left out.
struct Holder {
  uint64_t inode;
  int32_t pid;
};
std::vector<Holder> HoldersOf(const absl::flat_hash_set<uint64_t>& inodes);

// The wait status of a process that has ended and is not reaped yet; -1 where it cannot be read.
int EndStatus(int32_t pid);

// Bytes that the process and the children it has reaped took by read(2) and its kin, and gave to
// write(2) and its (rchar and wchar of /proc/PID/io); a zombie can be asked too. Nothing where it
// may not be read.
struct BytesMoved {
  uint64_t read = 0;
  uint64_t written = 0;
};
std::optional<BytesMoved> BytesMovedBy(int32_t pid);

// The parent of a process, also of a zombie; 0 where there is none to be known.
int32_t ParentOf(int32_t pid);

// Whether `pid` exists and is not a zombie.
bool Exists(int32_t pid);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_LIVE_KERNEL_H_

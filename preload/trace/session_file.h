// Creates a session's file: what the analyzer does in production, and tests for themselves.
// Not for the preload library, which only maps what it finds.
#ifndef IPCTRACE_PRELOAD_TRACE_SESSION_FILE_H_
#define IPCTRACE_PRELOAD_TRACE_SESSION_FILE_H_

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <new>
#include <string>

#include "preload/trace/calls.h"
#include "preload/trace/format.h"

namespace ipctrace {

// Where the pieces of a mapped session are.
inline char* SessionStart(SessionHeader* header) {
  return reinterpret_cast<char*>(header) + kSessionHeaderBytes - header->file_bytes;
}
inline ChunkHeader* SessionChunk(SessionHeader* header, uint32_t chunk) {
  return reinterpret_cast<ChunkHeader*>(SessionStart(header) + uint64_t{chunk} * kChunkSize);
}
inline Record* ChunkRecords(ChunkHeader* chunk) { return reinterpret_cast<Record*>(chunk + 1); }

// The clock that all processes of a session on this machine can read alike.
inline ClockKind ChooseClock() {
  char name[16] = {};
  const int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
                      O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    [[maybe_unused]] const ssize_t got = read(fd, name, sizeof(name) - 1);
    close(fd);
  }
  return strncmp(name, "tsc", 3) == 0 ? ClockKind::kTsc : ClockKind::kMonotonicNs;
}

// Creates the file at `path` with mode 0600 (an existing regular file is made over, but only an
// empty one: nobody's data is lost and nobody's link followed) and maps it. `bytes` is rounded down
// to whole chunks and must hold at least 16 of them. The file is sparse: its pages come into being
// as chunks are claimed, so a full disk shows as lost records. The pages of the header and of the
// ring are allocated here, so that a full disk fails here and not by SIGBUS.
//
// The magic is stored last: a file without it is not ready. Returns the header; or nullptr, with
// the reason in `error`. The mapping is the caller's to UnmapSession.
//
// The ring is stocked with `stock` chunks, the last one first. A chunk's pages cost some
// microseconds when they are first used, so the analyzer adds further ones only when the first are
// not enough.
inline SessionHeader* CreateSession(const std::string& path, size_t bytes, ClockKind clock,
                                    std::string* error, uint32_t stock = ~uint32_t{0}) {
  static_assert(sizeof(SessionHeader) % 64 == 0);
  constexpr size_t kPage = 4096;
  const auto fail = [&](const char* what) -> SessionHeader* {
    *error = std::string(what) + " " + path + ": " + strerror(errno);
    return nullptr;
  };
  const uint32_t chunks = static_cast<uint32_t>(bytes / kChunkSize);
  size_t ring = size_t{chunks} * sizeof(uint64_t);
  ring = (ring + kPage - 1) / kPage * kPage;
  const size_t header_at = size_t{chunks} * kChunkSize + ring;
  if (chunks < 16) {
    errno = EINVAL;
    return fail("too small a session for");
  }
  const size_t total = header_at + kSessionHeaderBytes;
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail("cannot create the session's file");
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size != 0) {
    close(fd);
    errno = EEXIST;
    return fail("cannot use as the session's file");
  }
  if (ftruncate(fd, static_cast<off_t>(total)) != 0 ||
      (errno = posix_fallocate(fd, static_cast<off_t>(header_at - ring),
                               static_cast<off_t>(ring + kSessionHeaderBytes))) != 0) {
    const int saved = errno;
    close(fd);
    errno = saved;
    return fail("no space for the session's file");
  }
  void* memory = mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int saved = errno;
  close(fd);
  if (memory == MAP_FAILED) {
    errno = saved;
    return fail("cannot map the session's file");
  }
  auto* header = new (static_cast<char*>(memory) + header_at) SessionHeader{};
  header->version = kContractVersion;
  header->ring_bytes = static_cast<uint32_t>(ring);
  header->file_bytes = total;
  header->chunk_count = chunks;
  header->clock = clock;
  header->analyzer_pid = getpid();
  header->next_process.store(1);
  header->next_thread.store(1);
  header->next_stack.store(1);
  if (stock > chunks) stock = chunks;
  header->freed.store(stock);
  for (uint32_t i = 0; i < stock; ++i) {
    SlotFor(header, i, chunks).store(RingSlot(1, chunks - 1 - i));
  }
  std::atomic_thread_fence(std::memory_order_release);
  reinterpret_cast<std::atomic<uint64_t>*>(&header->magic)->store(kSessionMagic);
  return header;
}

// Trusts the header: for who has run nothing that may have overwritten it.
inline void UnmapSession(SessionHeader* header) {
  munmap(SessionStart(header), header->file_bytes);
}

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_TRACE_SESSION_FILE_H_

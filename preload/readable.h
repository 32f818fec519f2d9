// Looking at what the program passes by pointer. libc hands such pointers to the kernel, which
// answers EFAULT to a bad one; so must we, and not crash on it first.
#ifndef IPCTRACE_PRELOAD_READABLE_H_
#define IPCTRACE_PRELOAD_READABLE_H_

#include <string.h>

#include "preload/raw.h"
#include "preload/recorder.h"

extern "C" void* __curbrk;  // libc's: where the heap ends now

namespace ipctrace {

// Whether the eight bytes around `address` can be read. rt_sigprocmask reads its set before it
// rejects `how`: 70 ns, and nothing changes.
inline bool ProbeWord(uint64_t address) {
  return Raw(SYS_rt_sigprocmask, 0x7fff, static_cast<long>(address & ~uint64_t{7}), 0, 8) !=
         -EFAULT;
}

// Whether the bytes lie in a range that begins at `from`.
inline bool LiesIn(uint64_t start, size_t size, uint64_t from, uint64_t bytes) {
  return start - from < bytes && size <= bytes - (start - from);
}

// Whether `size` bytes can be read. What lies in the executable, on malloc's first heap, which
// grows by sbrk, or on the stack needs no question.
inline bool Readable(const void* pointer, size_t size) {
  const auto start = reinterpret_cast<uint64_t>(pointer);
  const auto here = reinterpret_cast<uint64_t>(&start);
  if (LiesIn(start, size, session.image_start, session.image_bytes)) return true;
  const auto heap_end = reinterpret_cast<uint64_t>(__curbrk);
  if (heap_end > session.heap_start &&
      LiesIn(start, size, session.heap_start, heap_end - session.heap_start)) {
    return true;
  }
  const uint64_t stack_end = kept.stack_end;
  if (start > here && start < stack_end && size <= stack_end - start &&
      (stack_end == session.stack_end ? stack_end - here < (uint64_t{64} << 20)
                                      : start - here < 4096)) {
    return true;
  }
  if (start < 4096) return false;
  for (uint64_t page = start; page < start + size; page = (page | 4095) + 1) {
    if (!ProbeWord(page)) return false;
  }
  return true;
}

// Length of a string of at most `most` bytes, or -1 where it cannot be read.
inline long ReadableLength(const char* string, size_t most) {
  size_t length = 0;
  for (;;) {
    const char* const from = string + length;
    size_t part = 4096 - reinterpret_cast<uint64_t>(from) % 4096;
    if (!Readable(from, 1)) return -1;
    if (part > most - length) part = most - length;
    const size_t found = strnlen(from, part);
    length += found;
    if (found < part || length == most) return static_cast<long>(length);
  }
}

// Writes a path (or another string) as a blob, as far as it can be read.
inline void BlobString(Act& act, BlobTag tag, const char* string) {
  if (act.lost()) return;
  const long length = ReadableLength(string, 4096);
  if (length >= 0) act.Blob(tag, string, static_cast<size_t>(length));
}

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_READABLE_H_

// The C library's memory functions, for this library alone.
//
// Sanitizers put checking versions in the place of libc's. A copy of a caller's stack, which is what
// a captured stack is, would be reported as the program's mistake, and the program ended. The ones
// here are what the library's own calls, also those that the compiler makes, are bound to.
#include <cstddef>
#include <cstdint>

#include "preload/session.h"

// For names that it knows itself g++ passes over both the attribute and -fvisibility.
__asm__(".hidden memcpy\n.hidden memmove\n.hidden memset");

#define IPCTRACE_OWN extern "C" IPCTRACE_START_CODE __attribute__((used))

IPCTRACE_OWN void* memcpy(void* to, const void* from, size_t bytes) {
  void* const result = to;
  // A path or so: rep takes some 10 ns to begin.
  if (bytes - 8 <= 40) {
    auto* const out = static_cast<char*>(to);
    const auto* const in = static_cast<const char*>(from);
    uint64_t last, next;
    __builtin_memcpy(&last, in + bytes - 8, 8);
    for (size_t at = 0; at + 8 < bytes; at += 8) {
      __builtin_memcpy(&next, in + at, 8);
      __builtin_memcpy(out + at, &next, 8);
    }
    __builtin_memcpy(out + bytes - 8, &last, 8);
    return result;
  }
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
  return result;
}

IPCTRACE_OWN void* memset(void* to, int value, size_t bytes) {
  void* const result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
  return result;
}

IPCTRACE_OWN void* memmove(void* to, const void* from, size_t bytes) {
  auto* const out = static_cast<char*>(to);
  const auto* const in = static_cast<const char*>(from);
  if (static_cast<size_t>(out - in) >= bytes) return memcpy(to, from, bytes);
  for (size_t i = bytes; i > 0; --i) {
    out[i - 1] = in[i - 1];
    __asm__ volatile("" : : : "memory");  // or the compiler makes this loop a call of memmove
  }
  return to;
}

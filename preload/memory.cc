// The C library's memory and string functions, for this library alone: but for strlen and memchr,
// which look at whole lines of output, for what is looked at once and is short.
//
// Sanitizers put checking versions in the place of libc's. A copy of a caller's stack, which is
// what a captured stack is, would be reported as the program's mistake, and the program ended. The
// ones here are what the library's own calls, also those that the compiler makes, are bound to. And
// the loader has no names to look up for them, in every process.
#include <cstddef>
#include <cstdint>

#include "preload/session.h"

// For names that it knows itself g++ passes over both the attribute and -fvisibility.
__asm__(".hidden memcpy\n.hidden memmove\n.hidden memset\n.hidden strcspn\n.hidden strpbrk\n"
        ".hidden strchr\n.hidden strrchr\n.hidden strncmp\n.hidden strcmp\n.hidden strstr");

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

IPCTRACE_OWN size_t strcspn(const char* text, const char* stops) {
  size_t length = 0;
  for (; text[length] != 0; ++length) {
    for (const char* stop = stops; *stop != 0; ++stop) {
      if (text[length] == *stop) return length;
    }
  }
  return length;
}

IPCTRACE_OWN char* strpbrk(const char* text, const char* stops) {
  text += strcspn(text, stops);
  return *text == 0 ? nullptr : const_cast<char*>(text);
}

IPCTRACE_OWN char* strchr(const char* text, int wanted) {
  for (;; ++text) {
    if (*text == static_cast<char>(wanted)) return const_cast<char*>(text);
    if (*text == 0) return nullptr;
  }
}

IPCTRACE_OWN char* strrchr(const char* text, int wanted) {
  const char* found = nullptr;
  for (;; ++text) {
    if (*text == static_cast<char>(wanted)) found = text;
    if (*text == 0) return const_cast<char*>(found);
  }
}

IPCTRACE_OWN int strncmp(const char* a, const char* b, size_t most) {
  for (size_t i = 0; i < most; ++i) {
    const int difference = static_cast<unsigned char>(a[i]) - static_cast<unsigned char>(b[i]);
    if (difference != 0 || a[i] == 0) return difference;
  }
  return 0;
}

IPCTRACE_OWN int strcmp(const char* a, const char* b) { return strncmp(a, b, ~size_t{0}); }

IPCTRACE_OWN char* strstr(const char* text, const char* wanted) {
  size_t length = 0;
  while (wanted[length] != 0) ++length;
  for (;; ++text) {
    if (strncmp(text, wanted, length) == 0) return const_cast<char*>(text);
    if (*text == 0) return nullptr;
  }
}

// System calls of the library's own, by instruction: they touch neither errno nor cancellation, run
// in any context, and no interposer sees them. Results are the kernel's: -errno on failure. Where
// the program has forbidden itself some of them, none is made, and all fail with -EFAULT
// (restraint.h).
#ifndef IPCTRACE_PRELOAD_RAW_H_
#define IPCTRACE_PRELOAD_RAW_H_

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>

namespace ipctrace {

extern bool restrained __attribute__((visibility("hidden")));

inline __attribute__((always_inline)) long Raw(long number, long a = 0, long b = 0, long c = 0,
                                               long d = 0, long e = 0, long f = 0) {
  if (__builtin_expect(restrained, 0)) return -EFAULT;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

template <typename T>
inline long Address(T* pointer) {
  return reinterpret_cast<long>(pointer);
}

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_RAW_H_

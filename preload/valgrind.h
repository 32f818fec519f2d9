// Valgrind's client requests: instructions that do nothing, except where Valgrind reads them.
#ifndef IPCTRACE_PRELOAD_VALGRIND_H_
#define IPCTRACE_PRELOAD_VALGRIND_H_

#include <cstdint>

namespace ipctrace {

enum class ValgrindRequest : uint64_t {
  kIsRunning = 0x1001,
  kChangeErrorDisablement = 0x1801,  // by a: 1 no errors are reported, -1 they are again
  kMakeDefined = 0x4d430002,         // Memcheck's: b bytes at a count as initialised
};

inline uint64_t AskValgrind(ValgrindRequest request, uint64_t a = 0, uint64_t b = 0) {
  const volatile uint64_t block[6] = {static_cast<uint64_t>(request), a, b, 0, 0, 0};
  uint64_t answer = 0;
  __asm__ volatile(
      "rolq $3, %%rdi; rolq $13, %%rdi; rolq $61, %%rdi; rolq $51, %%rdi; xchgq %%rbx, %%rbx"
      : "=d"(answer)
      : "a"(&block[0]), "0"(answer)
      : "cc", "memory");
  return answer;
}

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_VALGRIND_H_

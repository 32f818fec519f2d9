// The enum of everything a record can be about, with its name and its act.
#ifndef IPCTRACE_PRELOAD_TRACE_CALLS_H_
#define IPCTRACE_PRELOAD_TRACE_CALLS_H_

#include <cstddef>
#include <cstdint>

#include "preload/trace/format.h"
#include "preload/trace/ops.h"

namespace ipctrace {

enum class Call : uint16_t {
#define CALL(name, op) name,
#define FACT(name, op) fact_##name,
#include "preload/trace/calls.def"
#undef CALL
#undef FACT
};

inline constexpr Op kCallOps[] = {
#define CALL(name, op) Op::op,
#define FACT(name, op) Op::op,
#include "preload/trace/calls.def"
#undef CALL
#undef FACT
};

inline constexpr size_t kCallCount = sizeof(kCallOps) / sizeof(kCallOps[0]);

inline constexpr Op OpOf(Call call) { return kCallOps[static_cast<size_t>(call)]; }

// One after the other, and not a table of pointers: a loader would have to relocate it in every
// process.
inline constexpr char kCallNames[] =
#define CALL(name, op) #name "\0"
#define FACT(name, op) #name "\0"
#include "preload/trace/calls.def"
#undef CALL
#undef FACT
    ;
struct CallNameOffsets {
  uint16_t of[kCallCount] = {};
  constexpr CallNameOffsets() {
    uint16_t at = 0;
    for (uint16_t& offset : of) {
      offset = at;
      while (kCallNames[at++] != '\0') {
      }
    }
  }
};
inline constexpr CallNameOffsets kCallNameOffsets;
static_assert(sizeof(kCallNames) < 65536);

inline constexpr const char* NameOf(Call call) {
  return kCallNames + kCallNameOffsets.of[static_cast<size_t>(call)];
}

// The version of the contract: of the format and of the table of calls. A library and an analyzer,
// or an analyzer and a kept trace, understand each other when they have the same.
inline constexpr uint32_t ContractVersion() {
  uint32_t hash = 2166136261u ^ kFormatVersion;  // FNV-1a
  for (size_t call = 0; call < kCallCount; ++call) {
    for (const char* letter = NameOf(static_cast<Call>(call)); *letter != '\0'; ++letter) {
      hash = (hash ^ static_cast<uint8_t>(*letter)) * 16777619u;
    }
    hash = (hash ^ static_cast<uint8_t>(kCallOps[call])) * 16777619u;
  }
  return hash;
}
inline constexpr uint32_t kContractVersion = ContractVersion();

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_TRACE_CALLS_H_

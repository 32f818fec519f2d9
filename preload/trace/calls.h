// The enum of everything a record can be about, with its name and its act.
#ifndef IPCTRACE_PRELOAD_TRACE_CALLS_H_
#define IPCTRACE_PRELOAD_TRACE_CALLS_H_

#include <cstddef>
#include <cstdint>

#include "preload/trace/ops.h"

namespace ipctrace {

enum class Call : uint16_t {
#define CALL(name, op) name,
#define FACT(name, op) fact_##name,
#include "preload/trace/calls.def"
#undef CALL
#undef FACT
};

inline constexpr const char* kCallNames[] = {
#define CALL(name, op) #name,
#define FACT(name, op) #name,
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
inline constexpr const char* NameOf(Call call) { return kCallNames[static_cast<size_t>(call)]; }

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_TRACE_CALLS_H_

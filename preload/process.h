// Ends of processes.
#ifndef IPCTRACE_PRELOAD_PROCESS_H_
#define IPCTRACE_PRELOAD_PROCESS_H_

#include <cstdint>

// The parts of vfork (calls_process.cc) that run before it, in the child, and in the parent after
// it, whose result (or -errno) it returns as libc does. For assembly, hence the names.
extern "C" {
__attribute__((visibility("hidden"))) void ipctrace_before_vfork(uint64_t return_address,
                                                                 uint64_t sp);
__attribute__((visibility("hidden"))) void ipctrace_in_vfork_child();
__attribute__((visibility("hidden"))) long ipctrace_after_vfork(long result);
}

namespace ipctrace {

// At the start: registers what must run last at exit.
void PrepareEnd();

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_PROCESS_H_

// Numbers of syscall(2) that are recorded as the libc functions of the same names.
#ifndef IPCTRACE_PRELOAD_SYSCALL_REST_H_
#define IPCTRACE_PRELOAD_SYSCALL_REST_H_

namespace ipctrace {

using SyscallRest = long(long, long, long, long, long, long);

// What makes the call in its place, with syscall's result and errno; nullptr: nothing. Safe in any
// context.
SyscallRest* FindSyscallRest(long number);

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_SYSCALL_REST_H_

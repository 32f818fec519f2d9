// Filters of system calls (seccomp(2)).
//
// A program may forbid itself all but a few system calls, on pain of death; and those that this
// library makes beside the program's own would be the end of it. So before a filter is set it is
// asked what it does with each of them, as the kernel will ask it. If it allows them all, nothing
// changes. If not, the library makes none from then on (raw.h): what it would have learned by them
// is missing, records for which there is no memory yet are lost and counted, and what the process
// forks or execs is not traced. The run is then not called complete.
#ifndef IPCTRACE_PRELOAD_RESTRAINT_H_
#define IPCTRACE_PRELOAD_RESTRAINT_H_

#include <linux/filter.h>

namespace ipctrace {

// A filter is about to be set; nullptr: the strict mode, which allows reading, writing and ending.
// True: it will restrain the library, and DidSetFilter is to be called.
bool WillSetFilter(const sock_fprog* filter);
void DidSetFilter(bool success);

// From now on no thread may ask what time it is: the strict mode, or prctl(PR_SET_TSC), makes the
// processor refuse it, and libc's clock_gettime reads the same counter. All records are lost.
void WillLoseClock();

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_RESTRAINT_H_

// Ends of processes.
#ifndef IPCTRACE_PRELOAD_PROCESS_H_
#define IPCTRACE_PRELOAD_PROCESS_H_

namespace ipctrace {

// At the start: registers what must run last at exit, and first in a forked child.
void PrepareEnd();

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_PROCESS_H_

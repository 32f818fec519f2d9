// Births and ends of threads.
#ifndef IPCTRACE_PRELOAD_THREADS_H_
#define IPCTRACE_PRELOAD_THREADS_H_

namespace ipctrace {

// At the start: makes the key whose destructor tells of a thread's end.
void PrepareThreads();

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_THREADS_H_

// What a program image says about itself in the trace.
#ifndef IPCTRACE_PRELOAD_HELLO_H_
#define IPCTRACE_PRELOAD_HELLO_H_

#include <cstdint>

namespace ipctrace {

struct ThreadState;

// The kHello record of a new image.
void SayHello(ThreadState* thread, int argc, char** argv, bool first);

// kOpenNumbers, for the analyzer to compare with what it was told. Not in a program that ever had a
// second thread, which may be opening one right now.
void SampleNumbers();

// kModules: the loaded objects have changed.
void SayModules();

// The same in any context: without the loader's lock, from what it shows to debuggers. Does
// nothing, and is to be tried again (session.loads_pending), while the loader is at work.
void SayModulesUnlocked(ThreadState* thread);

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_HELLO_H_

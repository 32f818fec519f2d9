// Whether a program about to be executed can load this library.
#ifndef IPCTRACE_PRELOAD_EXEC_TARGET_H_
#define IPCTRACE_PRELOAD_EXEC_TARGET_H_

namespace ipctrace {

// False where the file at `path` (relative to the directory `at`, or `at` itself where path is
// empty) is a static, a 32-bit or a privileged program, or a script for one. Costs some five system
// calls.
bool IsTraceable(int at, const char* path);

// The same for a name that execvp looks for along PATH.
bool IsTraceableName(const char* name);

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_EXEC_TARGET_H_

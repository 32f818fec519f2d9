// Whether a program about to be executed can load this library.
#ifndef IPCTRACE_PRELOAD_EXEC_TARGET_H_
#define IPCTRACE_PRELOAD_EXEC_TARGET_H_

namespace ipctrace {

// Counts SessionHeader::untraced_execs where the file at `path` (relative to the directory `at`, or
// `at` itself where path is empty) is a static, a 32-bit or a privileged program, or a script for
// one, or where this process may no longer open the session. Costs two or three system calls.
void CountIfUntraceable(int at, const char* path);

// The same for a name that execvp looks for along PATH.
void CountIfUntraceableName(const char* name);

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_EXEC_TARGET_H_

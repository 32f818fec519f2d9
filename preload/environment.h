// The two variables that keep a run's later programs traced.
#ifndef IPCTRACE_PRELOAD_ENVIRONMENT_H_
#define IPCTRACE_PRELOAD_ENVIRONMENT_H_

namespace ipctrace {

// `environment` with LD_PRELOAD and the session's path where they are missing, for an exec by the
// calling thread. Without malloc; the memory is used again by the thread's next call, so nothing
// needs to be freed, also where the exec happens in a vforked child. Returns `environment` itself
// where nothing is missing, it cannot be read, or there is no memory.
//
// Where the program could not find the library or the session's file (after chroot, say, or without
// the privileges that the session was made with), LD_PRELOAD goes without the library, over which
// the loader would complain. Such programs, and those that are not `traceable` (exec_target.h), are
// counted in SessionHeader::untraced_execs.
char* const* TracedEnvironment(char* const* environment, bool traceable);

// Asks whether the library can be read, if that is not known yet: for a process and its children.
void ReachLibrary();

// Puts them into environ, for libc's functions that pass it on themselves (system, popen).
void EnsureEnvironment();

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_ENVIRONMENT_H_

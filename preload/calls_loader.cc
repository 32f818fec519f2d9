// Loaded objects: the analyzer needs them to name addresses. And library calls that do I/O past us.
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <semaphore.h>
#include <stdarg.h>
#include <sys/socket.h>

#include "preload/hello.h"
#include "preload/interpose.h"
#include "preload/undeclared.h"

namespace ipctrace {

// dlopen looks at its caller's object for the search path, so the real one must see our caller:
// this is a jump, not a call (the library is always compiled with -O2), and there is no moment
// afterwards. The modules are told with the next stack that is copied.
INTERPOSE(dlopen)(const char* path, int flags) {
  static bool noted;
  if (!noted && session.started) NoteInside("dlopen", false);
  noted = session.started;
  session.loads_pending = true;
  return REAL(dlopen)(path, flags);
}

INTERPOSE(dlclose)(void* handle) {
  const int result = REAL(dlclose)(handle);
  SayModules();
  return result;
}

#define LIBRARY(name, parameters, arguments) \
  INTERPOSE(name) parameters {               \
    Act act(Call::name, -1);                 \
    act.Enter();                             \
    return act.Leave(REAL(name) arguments);  \
  }
LIBRARY(getaddrinfo,
        (const char* node, const char* service, const addrinfo* hints, addrinfo** result),
        (node, service, hints, result))

// A new semaphore is a file, which libc writes.
INTERPOSE(sem_open)(const char* name, int flags, ...) {
  mode_t mode = 0;
  unsigned value = 0;
  if ((flags & O_CREAT) != 0) {
    va_list list;
    va_start(list, flags);
    mode = va_arg(list, mode_t);
    value = va_arg(list, unsigned);
    va_end(list);
  }
  Act act(Call::sem_open, -1);
  if ((flags & O_CREAT) != 0) act->b = sizeof(sem_t);
  act.Enter();
  sem_t* const semaphore = REAL(sem_open)(name, flags, mode, value);
  act.Leave(semaphore != SEM_FAILED ? 0 : -1);
  return semaphore;
}

}  // namespace ipctrace

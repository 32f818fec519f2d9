// Loaded objects: the analyzer needs them to name addresses. And library calls that do I/O past us.
#include <dlfcn.h>
#include <netdb.h>
#include <sys/socket.h>

#include "preload/hello.h"
#include "preload/interpose.h"
#include "preload/undeclared.h"

namespace ipctrace {

// dlopen looks at its caller's object for the search path, so the real one must see our caller: this
// is a jump, not a call (the library is always compiled with -O2), and there is no moment afterwards.
// The modules are told with the next stack that is copied.
INTERPOSE(dlopen)(const char* path, int flags) {
  session.loads_pending = true;
  return REAL(dlopen)(path, flags);
}

INTERPOSE(dlclose)(void* handle) {
  const int result = REAL(dlclose)(handle);
  SayModules();
  return result;
}

#define LIBRARY(name, parameters, arguments)   \
  INTERPOSE(name) parameters {                 \
    Act act(Call::name, -1);                   \
    act.Enter();                               \
    return act.Leave(REAL(name) arguments);    \
  }
LIBRARY(getaddrinfo,
        (const char* node, const char* service, const addrinfo* hints, addrinfo** result),
        (node, service, hints, result))

}  // namespace ipctrace

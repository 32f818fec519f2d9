// The start of a traced program, before any code of its own.
//
// A preloaded library's constructor runs before those of the program. It is not linked with
// -z initfirst, which would put it before the executable's preinit functions too: there clang's
// sanitizers set themselves up, and what they intercept cannot be called before.
#include "preload/session.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "preload/bare.h"
#include "preload/hello.h"
#include "preload/process.h"
#include "preload/raw.h"
#include "preload/recorder.h"
#include "preload/streams.h"
#include "preload/valgrind.h"

extern "C" void* __libc_stack_end;

namespace ipctrace {
namespace {

IPCTRACE_START_CODE const char* Variable(char** environment, const char* name) {
  const size_t length = strlen(name);
  for (; *environment != nullptr; ++environment) {
    if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=') {
      return *environment + length + 1;
    }
  }
  return nullptr;
}

// Where the executable's code is, for telling return addresses from data on the stack.
IPCTRACE_START_CODE void FindExecutable() {
  const auto* headers = reinterpret_cast<const ElfW(Phdr)*>(getauxval(AT_PHDR));
  const unsigned long count = getauxval(AT_PHNUM);
  uint64_t bias = 0;
  for (unsigned long i = 0; i < count; ++i) {
    if (headers[i].p_type == PT_PHDR) {
      bias = reinterpret_cast<uint64_t>(headers) - headers[i].p_vaddr;
    }
  }
  for (unsigned long i = 0; i < count; ++i) {
    if (headers[i].p_type != PT_LOAD) continue;
    const uint64_t start = bias + headers[i].p_vaddr;
    if (session.image_start == 0) session.image_start = start;
    session.image_bytes = start + headers[i].p_memsz - session.image_start;
    if ((headers[i].p_flags & PF_X) != 0) {
      if (session.exe_start == 0) session.exe_start = start;
      session.exe_bytes = start + headers[i].p_memsz - session.exe_start;
    }
  }
}

// The library's own path, absolute, before the program can change its directory.
IPCTRACE_START_CODE void FindLibrary() {
  const char* name = nullptr;
  for (const link_map* map = _r_debug.r_map; map != nullptr; map = map->l_next) {
    if (map->l_ld == _DYNAMIC) name = map->l_name;
  }
  if (name == nullptr) return;
  size_t used = 0;
  if (name[0] != '/') {
    const long length = Raw(SYS_getcwd, Address(session.library), sizeof(session.library));
    if (length <= 0) return;
    used = static_cast<size_t>(length);
    session.library[used - 1] = '/';
  }
  const size_t length = strlen(name) + 1;
  if (used + length > sizeof(session.library)) {
    session.library[0] = 0;
    return;
  }
  memcpy(session.library + used, name, length);
}

}  // namespace

IPCTRACE_START_CODE bool MapSession(const char* path) {
  const size_t length = strlen(path);
  if (length >= sizeof(session.path)) return false;
  const long fd = Raw(SYS_openat, AT_FDCWD, Address(path), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return false;
  struct stat status;
  long memory = -1;
  if (Raw(SYS_fstat, fd, Address(&status)) == 0 && S_ISREG(status.st_mode) &&
      status.st_size >= static_cast<off_t>(kSessionHeaderBytes + kChunkSize)) {
    memory = Raw(SYS_mmap, 0, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  Raw(SYS_close, fd);
  if (memory < 0 && memory > -4096) return false;
  char* const end = reinterpret_cast<char*>(memory) + status.st_size;
  auto* const header = reinterpret_cast<SessionHeader*>(end - kSessionHeaderBytes);
  if (header->magic != kSessionMagic || header->version != kContractVersion ||
      header->chunk_count == 0 || header->chunk_count > header->ring_bytes / 8 ||
      uint64_t{header->chunk_count} * kChunkSize + header->ring_bytes + kSessionHeaderBytes !=
          static_cast<uint64_t>(status.st_size)) {
    Raw(SYS_munmap, memory, status.st_size);
    return false;
  }
  memcpy(session.path, path, length + 1);
  session.header = header;
  session.chunk_count = header->chunk_count;
  session.tsc = header->clock == ClockKind::kTsc;
  session.options = header->options;
  session.payload = (header->options & (kOptionPipePayload | kOptionSocketPayload)) != 0;
  memcpy(session.ports, header->payload_ports, sizeof(session.ports));
  session.pid = static_cast<int32_t>(Raw(SYS_getpid));
  session.chunks = reinterpret_cast<char*>(memory);
  return true;
}

IPCTRACE_START_CODE void Start(int, char**, char**) {
  // Written at once: a page that is read first costs a second fault.
  if (__atomic_exchange_n(&session.started, true, __ATOMIC_RELAXED)) return;
  auto* const stack = static_cast<long*>(__libc_stack_end);
  const int argc = static_cast<int>(stack[0]);
  char** const argv = reinterpret_cast<char**>(stack + 1);
  char** const environment = argv + argc + 1;
  session.stack_end = reinterpret_cast<uint64_t>(stack);
  session.heap_start = static_cast<uint64_t>(Raw(SYS_brk, 0));
  FindExecutable();
  FindLibrary();
  const char* path = Variable(environment, kSessionVariable);
  bool first = false;
  if (path == nullptr || path[0] == 0) {
    first = true;
    if (!StartAnalyzer(environment)) return;
  } else if (!MapSession(path)) {
    return;
  }
  ThreadState* const thread = FirstThreadState();
  if (thread == nullptr) {
    session.chunks = nullptr;
    return;
  }
  session.valgrind = AskValgrind(ValgrindRequest::kIsRunning) != 0;
  const uint32_t process = BecomeProcess(thread, session.pid);
  kept.stack_end = session.stack_end;
  Adopt(thread);
  SayHello(thread, argc, argv, first || process == 1);
  PrepareEnd();
}

namespace {
IPCTRACE_START_CODE __attribute__((constructor)) void Construct(int argc, char** argv,
                                                                char** environment) {
  Start(argc, argv, environment);
}
}  // namespace

}  // namespace ipctrace

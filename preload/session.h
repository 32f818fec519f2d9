// The session as this process sees it: the mapped trace, and what is decided once, at the start.
#ifndef IPCTRACE_PRELOAD_SESSION_H_
#define IPCTRACE_PRELOAD_SESSION_H_

#include <atomic>
#include <cstdint>

#include "preload/trace/format.h"

// What runs, and what is written, before main in every process lies together; see layout.ld.
#define IPCTRACE_START_CODE __attribute__((section("ipctrace_start")))
#define IPCTRACE_START_DATA __attribute__((section(".data")))
#define IPCTRACE_START_TABLE __attribute__((section(".bss.at_start")))

namespace ipctrace {

struct Session {
  // Read on every call: one cache line.
  alignas(64) char* chunks;  // chunk 0; nullptr: not traced
  uint64_t exe_start;        // the executable's code
  uint64_t exe_bytes;
  bool tsc;
  bool started;   // the constructor's work is done, or has been given up
  bool payload;   // kOptionPipePayload or kOptionSocketPayload
  bool threaded;  // a second thread was started, ever
  bool child_of_threads;  // forked by a process that had started a second thread
  bool valgrind;          // runs under Valgrind
  bool loads_pending;  // dlopen was called, and kModules not yet written
  bool untold;         // something was opened that is to be told of later (streams.h)

  SessionHeader* header;
  uint64_t clock_end;    // the last time that could be read (restraint.h); 0: it still can
  uint32_t populated;  // so many chunks, the last ones, have their memory, as far as was found here
  uint32_t chunk_count;  // header->chunk_count, which the program may overwrite
  uint64_t stack_end;    // the main thread's first frame
  uint64_t image_start;  // the executable as it is mapped
  uint64_t image_bytes;
  uint64_t heap_start;   // where the heap begins, which ends at sbrk(0)
  uint64_t options;      // SessionOptions
  uint16_t ports[kMostPayloadPorts];  // header->payload_ports
  int32_t pid;         // at the start: of what this process was forked from
  bool first_of_bare;  // started the session, so waits for the report at its end
  bool library_reached;  // `library` could be read when it was last asked for
  char path[256];      // of the session's file: goes into every environment passed on
  char library[512];   // absolute path of this library
};

extern Session session __attribute__((visibility("hidden")));

// Some process of the run makes FIFOs, or has found one.
inline void NoteFifos() {
  if (session.chunks != nullptr) session.header->fifos.store(1, std::memory_order_relaxed);
}

// Does the constructor's work unless it is done. Any failure leaves the process untraced.
void Start(int argc, char** argv, char** envp);

// Maps the session's file at `path`. Does not touch errno. False: not a session, or no memory.
bool MapSession(const char* path);

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_SESSION_H_

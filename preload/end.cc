// The end of a process by exit or by main's return.
#include <stdio.h>
#include <stdlib.h>

#include "preload/bare.h"
#include "preload/hello.h"
#include "preload/interpose.h"
#include "preload/process.h"
#include "preload/recorder.h"
#include "preload/streams.h"

namespace ipctrace {
namespace {

// The last handler to run at exit, whether main returned or exit was called: only the flushing of
// the streams is still to come.
IPCTRACE_START_CODE void AtExit(int status, void*) {
  SampleStreams();
  SampleNumbers();
  Fact end(Call::fact_process_exit);
  end->a = static_cast<uint64_t>(static_cast<int64_t>(status));
  end.Done();
  if (session.first_of_bare) {
    // What the streams hold is to come before the report. This is the very clean-up that exit does
    // next, without the locks that fflush would wait for.
    REAL(fcloseall)();
    WaitForReport();
  }
}

}  // namespace

IPCTRACE_START_CODE void PrepareEnd() { on_exit(AtExit, nullptr); }

}  // namespace ipctrace

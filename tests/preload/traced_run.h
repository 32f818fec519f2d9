// Runs a program behind the preload library and reads what it recorded: the analyzer's part, as
// small as a test needs it.
#ifndef IPCTRACE_TESTS_PRELOAD_TRACED_RUN_H_
#define IPCTRACE_TESTS_PRELOAD_TRACED_RUN_H_

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "preload/trace/calls.h"
#include "preload/trace/format.h"

namespace ipctrace {

struct SeenRecord {
  uint32_t process, thread;
  int32_t pid, tid;
  uint64_t seq;
  Call call;
  uint8_t flags;
  RecordState state;
  uint32_t stack;
  uint64_t enter, leave;
  int32_t fd, err;
  int64_t result;
  uint64_t a, b, c;
  std::map<BlobTag, std::string> blobs;

  Op op() const { return OpOf(call); }
  std::string name() const { return NameOf(call); }
  template <typename T>
  std::vector<T> Blob(BlobTag tag) const {
    auto found = blobs.find(tag);
    if (found == blobs.end()) return {};
    std::vector<T> all(found->second.size() / sizeof(T));
    memcpy(all.data(), found->second.data(), all.size() * sizeof(T));
    return all;
  }
};

struct TracedRun {
  int status = 0;            // as of waitpid
  std::string out, err;      // what the program wrote on 1 and 2
  uint64_t lost = 0, untraced_execs = 0;
  uint32_t processes = 0;    // ids given out
  // All threads' records, ordered by entry.
  std::vector<SeenRecord> records;

  std::vector<SeenRecord> Of(Op op) const;
  std::vector<SeenRecord> Of(Call call) const;
  // Of the process with that id in the trace (the first is 1).
  std::vector<SeenRecord> OfProcess(uint32_t process) const;
};

struct TraceOptions {
  size_t session_bytes = size_t{8} << 20;
  bool analyzer_gone = false;
  uint64_t options = 0;
  std::string input;  // for the program's descriptor 0
  std::vector<std::string> environment;  // added
};

// Runs argv (searched in PATH) and decodes the session. Chunks are not freed while it runs, so it
// must fit into session_bytes.
TracedRun RunTraced(const std::vector<std::string>& argv, const TraceOptions& options = {});
// The same without the library.
TracedRun RunPlain(const std::vector<std::string>& argv, const TraceOptions& options = {});

// One line a record, for messages.
std::string Describe(const SeenRecord& record);
std::string Describe(const std::vector<SeenRecord>& records);

}  // namespace ipctrace

#endif  // IPCTRACE_TESTS_PRELOAD_TRACED_RUN_H_

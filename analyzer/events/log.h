// The kept trace: a run's events in a file, compressed (zstd), that `report`, `show` and `diagram`
// read again. Every block is complete in itself and written out at least every 100 ms, so that a
// file that is cut short is readable up to its last whole block.
#ifndef IPCTRACE_ANALYZER_EVENTS_LOG_H_
#define IPCTRACE_ANALYZER_EVENTS_LOG_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "analyzer/events/event.h"

namespace ipctrace {

class EventLogWriter : public EventSink {
 public:
  static absl::StatusOr<std::unique_ptr<EventLogWriter>> Create(const std::string& path);
  ~EventLogWriter() override;
  void Take(const Event& event) override;
  // Writes what is buffered, and the end mark with `finish`. After a failed write (a full disk)
  // later events are dropped and this returns the first error.
  absl::Status Flush(bool finish);

 private:
  struct Impl;
  explicit EventLogWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Hands every event of the file to `sink`, in order. Errors: NotFound, InvalidArgument (not a
// trace), FailedPrecondition (of another version), DataLoss (cut short or damaged: everything
// before the damage has been handed on). Messages are whole sentences for the user.
absl::Status ReadEventLog(const std::string& path, EventSink* sink);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_EVENTS_LOG_H_

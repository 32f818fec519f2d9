// The time of the trace.
#ifndef IPCTRACE_ANALYZER_LIVE_CLOCK_H_
#define IPCTRACE_ANALYZER_LIVE_CLOCK_H_

#include <cstdint>

#include "analyzer/events/event.h"
#include "preload/trace/format.h"

namespace ipctrace {

// The clock that the traced processes read, as nanoseconds since the session began.
class TraceClock {
 public:
  // The rate of kTsc is measured from here to the first conversion, which waits until this was a
  // millisecond ago.
  explicit TraceClock(ClockKind kind);
  ClockKind kind() const { return kind_; }
  uint64_t Ticks() const;
  Nanos ToNanos(uint64_t ticks) const;
  uint64_t FromNanos(Nanos nanos) const;

 private:
  double NanosPerTick() const {
    if (nanos_per_tick_ == 0) Calibrate();
    return nanos_per_tick_;
  }
  void Calibrate() const;

  const ClockKind kind_;
  const uint64_t began_ns_;  // CLOCK_MONOTONIC, when it was origin_
  const uint64_t origin_;
  mutable double nanos_per_tick_ = 0;  // 0: not known yet
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_LIVE_CLOCK_H_

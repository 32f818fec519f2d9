#include "analyzer/live/clock.h"

#include <time.h>
#include <x86intrin.h>

namespace ipctrace {
namespace {

uint64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

TraceClock::TraceClock(ClockKind kind) : kind_(kind), began_ns_(MonotonicNs()), origin_(Ticks()) {}

void TraceClock::Calibrate() const {
  nanos_per_tick_ = 1;
  if (kind_ != ClockKind::kTsc) return;
  uint64_t now;
  do {
    now = MonotonicNs();
  } while (now - began_ns_ < 1'000'000);
  nanos_per_tick_ = static_cast<double>(now - began_ns_) / static_cast<double>(__rdtsc() - origin_);
}

uint64_t TraceClock::Ticks() const { return kind_ == ClockKind::kTsc ? __rdtsc() : MonotonicNs(); }

Nanos TraceClock::ToNanos(uint64_t ticks) const {
  return static_cast<Nanos>(static_cast<double>(static_cast<int64_t>(ticks - origin_)) *
                            NanosPerTick());
}

uint64_t TraceClock::FromNanos(Nanos nanos) const {
  return static_cast<uint64_t>(static_cast<double>(nanos) / NanosPerTick());
}

}  // namespace ipctrace

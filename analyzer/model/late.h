// Calls on a descriptor's number after its close, while nothing stood there (Descriptor::late).
#ifndef IPCTRACE_ANALYZER_MODEL_LATE_H_
#define IPCTRACE_ANALYZER_MODEL_LATE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "analyzer/model/entities.h"

namespace ipctrace {

// What they amount to.
enum class LateKind {
  kNone,         // nothing: a sweep over all numbers
  kDoubleClose,  // the first of them is another close
  kUse,          // the first of them is a use
  kStaleClose,   // the close itself was the mistake: meant for what had the number before, it hit
                 // this
};
struct LateVerdict {
  LateKind kind = LateKind::kNone;
  std::vector<LateCall> calls;  // without sweeps
};

// Closed descriptors whose numbers were called later. They are judged late, since a later call may
// show that the first one was the owner's.
class LateSuspects {
 public:
  // What is said of each; `same_place` is Rule::SamePlace.
  using Tell =
      std::function<void(const std::shared_ptr<Descriptor>& closed, const LateVerdict& verdict)>;
  using SamePlace = std::function<bool(uint32_t stack_a, uint32_t stack_b)>;
  LateSuspects(Tell tell, SamePlace same_place)
      : tell_(std::move(tell)), same_place_(std::move(same_place)) {}

  // Takes in the numbers that a call named and that were not open. A poll is such a call though it
  // succeeds.
  void Take(const Act& act);
  // Tells of each, in the order in which they were born.
  void Judge();

 private:
  void Note(const Process& process, int fd);

  Tell tell_;
  SamePlace same_place_;
  std::map<uint64_t, std::shared_ptr<Descriptor>> suspects_;  // by id
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_MODEL_LATE_H_

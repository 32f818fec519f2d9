#include "analyzer/protocol/tracker.h"

#include <algorithm>
#include <map>

namespace ipctrace::protocol {

Tracker::Tracker(const Model* model) : judge_(model), flows_(model, &judge_) {
  judge_.complain = [this](const Complaint& complaint) {
    const auto& to = complaint.incomplete ? on_incomplete : on_violation;
    if (to) to(complaint);
  };
  const auto& protocols = LoadedProtocols();
  if (std::any_of(protocols.begin(), protocols.end(),
                  [](const auto& each) { return NeedsPipePair(*each); }))
    flows_.PairPipes();
}

std::shared_ptr<Tracker> Tracker::Of(const Model* model) {
  static auto* const trackers = new std::map<const Model*, std::weak_ptr<Tracker>>;
  std::weak_ptr<Tracker>& slot = (*trackers)[model];
  std::shared_ptr<Tracker> tracker = slot.lock();
  if (tracker == nullptr) {
    tracker.reset(new Tracker(model));
    slot = tracker;
  }
  return tracker;
}

std::vector<std::string> Tracker::Unjudged() const {
  std::vector<std::string> phrases = judge_.Unjudged();
  if (flows_.ambiguous()) {
    phrases.push_back(
        "more than two pipes go between the same two processes, and which two of them are one "
        "conversation is not "
        "known: no protocol that both sides speak was held against them");
  }
  return phrases;
}

bool Tracker::DrivenBy(const void* who) {
  if (driver_ == nullptr) driver_ = who;
  return driver_ == who;
}

bool Tracker::Watches(Op op) {
  if (LoadedProtocols().empty()) return false;
  switch (op) {
    case Op::kRead:
    case Op::kWrite:
    case Op::kTransfer:
    case Op::kStreamRead:
    case Op::kStreamWrite:
    case Op::kStreamSeek:
    case Op::kStreamClose:
    case Op::kStreamState:
    case Op::kPclose:
    case Op::kShutdown:
    case Op::kExit:
      return true;
    default:
      return false;
  }
}

}  // namespace ipctrace::protocol

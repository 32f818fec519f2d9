// What the protocol rules have in common: they share one tracker, and each reports one kind of its
// complaints.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_PROTOCOL_RULE_H_
#define IPCTRACE_ANALYZER_PROTOCOL_PROTOCOL_RULE_H_

#include <functional>
#include <memory>
#include <utility>

#include "analyzer/model/rule.h"
#include "analyzer/protocol/tracker.h"

namespace ipctrace::protocol {

class ProtocolRule : public Rule {
 public:
  // The tracker's callback that the rule takes.
  using Callback = std::function<void(const Complaint&)> Tracker::*;
  explicit ProtocolRule(Callback callback) : callback_(callback) {}

  bool Watches(Op op) const override { return Tracker::Watches(op); }
  void DidEnter(const Act& act) override {
    if (Drives()) tracker_->flows().DidEnter(act);
  }
  void DidLeave(const Act& act) override {
    if (Drives()) tracker_->flows().DidLeave(act);
  }
  void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how,
                 const Act& act) override {
    if (Drives()) tracker_->flows().WillClose(descriptor, act);
  }
  void WillEnd(const Process& process) override {
    if (Drives()) tracker_->flows().WillEnd(process);
  }
  void DidFinish() override {
    if (Drives()) tracker_->flows().DidFinish();
  }

 private:
  // Whether the tracker is this rule's to drive.
  bool Drives() {
    if (LoadedProtocols().empty()) return false;
    if (tracker_ == nullptr) {
      tracker_ = Tracker::Of(&model());
      (*tracker_).*callback_ = [this](const Complaint& complaint) {
        Finding finding;
        finding.message = complaint.message;
        finding.fix = complaint.fix;
        finding.site = complaint.site;
        finding.story = complaint.story;
        finding.subjects = complaint.subjects;
        Report(std::move(finding));
      };
    }
    return tracker_->DrivenBy(this);
  }

  const Callback callback_;
  std::shared_ptr<Tracker> tracker_;
};

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_PROTOCOL_RULE_H_

// protocol-violation: a message, close or timer that the protocol does not allow in the state it
// came in. How conversations are followed is in analyzer/protocol.
#include "analyzer/model/rule.h"
#include "analyzer/protocol/tracker.h"

namespace ipctrace {
namespace {

class ProtocolViolation : public Rule {
 public:
  bool Watches(Op op) const override { return protocol::Tracker::Watches(op); }
  void DidEnter(const Act& act) override {
    if (Drives()) tracker_->DidEnter(act);
  }
  void DidLeave(const Act& act) override {
    if (Drives()) tracker_->DidLeave(act);
  }
  void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how, const Act& act) override {
    if (Drives()) tracker_->WillClose(descriptor, act);
  }
  void WillEnd(const Process& process) override {
    if (Drives()) tracker_->WillEnd(process);
  }
  void DidFinish() override {
    if (Drives()) tracker_->DidFinish();
  }

 private:
  // Whether the tracker, which both rules share, is this one's to drive.
  bool Drives() {
    if (protocol::LoadedProtocols().empty()) return false;
    if (tracker_ == nullptr) {
      tracker_ = protocol::Tracker::Of(&model());
      tracker_->on_violation = [this](const protocol::Complaint& complaint) {
        Finding finding;
        finding.message = complaint.message;
        finding.fix = complaint.fix;
        finding.site = complaint.site;
        finding.cause_stack = complaint.cause_stack;
        finding.story = complaint.story;
        finding.picture = complaint.picture;
        finding.subjects = complaint.subjects;
        Report(std::move(finding));
      };
    }
    return tracker_->DrivenBy(this);
  }

  std::shared_ptr<protocol::Tracker> tracker_;
};

REGISTER_RULE(ProtocolViolation, "protocol-violation", Severity::kError, {});

}  // namespace
}  // namespace ipctrace

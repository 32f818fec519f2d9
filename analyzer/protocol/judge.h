// Holds conversations against the loaded protocols.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_JUDGE_H_
#define IPCTRACE_ANALYZER_PROTOCOL_JUDGE_H_

#include <functional>
#include <string>
#include <vector>

#include "analyzer/model/model.h"
#include "analyzer/protocol/complaint.h"
#include "analyzer/protocol/flows.h"

namespace ipctrace::protocol {

// What a diagram is told. `object` is the id of the socket that sent, or of the pipe; offsets count
// the bytes of that direction.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void DidSay(uint64_t object, uint64_t begin, uint64_t end, const std::string& message,
                      const std::string& state) = 0;
  virtual void DidComplain(uint64_t object, uint64_t offset, const Complaint& complaint) = 0;
};

class Judge : public FlowSink {
 public:
  explicit Judge(const Model* model);

  void Begin(Conversation& conversation) override;
  void Happened(Conversation& conversation, Flow& flow, const Deed& deed) override;
  void Conclude(Conversation& conversation) override;

  std::function<void(const Complaint&)> complain;
  Listener* listener = nullptr;  // not owned; null: nobody

  const std::vector<Coverage>& coverage() const { return coverage_; }
  // What could not be judged, a phrase each: protocols that no conversation was for, and
  // conversations whose bytes the trace does not hold.
  std::vector<std::string> Unjudged() const;
  size_t given_up() const { return given_up_; }  // conversations

 private:
  void BeginCheck(size_t protocol, Conversation& conversation, int role_of_first, Flow* first,
                  Flow* second);
  void Hold(Check& check, const Flow& flow, const Deed& deed);
  void CatchUp(Conversation& conversation);
  void DidClose(Check& check, int role, const Flow& flow, const Deed& deed);
  void DidSend(Check& check, int role, const Flow& flow, const Deed& deed);
  void GiveUp(Check& check, const Flow& flow, const Deed& deed);
  void Message(Check& check, int role, const Flow& flow, const Frame& frame, const Deed& deed);
  void NoMessage(Check& check, int role, const Deed& deed);
  void TimeIsUp(Check& check, int role, const Verdict& verdict, const Deed& deed);
  void Violated(Check& check, int role, const Verdict& verdict, const Deed& deed);
  bool IsWorthIt(const Check& check) const;
  void Tell(const Check& check, const Complaint& complaint);

  const Model* const model_;
  std::vector<Coverage> coverage_;     // by protocol
  std::vector<size_t> conversations_;  // that each protocol was for
  size_t given_up_ = 0;
  std::string first_given_up_;  // which, and why
};

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_JUDGE_H_

// What went wrong in a conversation, in words and with both sides' lines.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_COMPLAINT_H_
#define IPCTRACE_ANALYZER_PROTOCOL_COMPLAINT_H_

#include <string>
#include <vector>

#include "analyzer/model/model.h"
#include "analyzer/protocol/conversation.h"

namespace ipctrace::protocol {

// A conversation that broke its protocol, or did not come to its end. The rule makes a Finding of
// it.
struct Complaint {
  bool incomplete = false;
  std::string message, fix;
  Site site;
  std::vector<Step> story;
  std::vector<uint64_t> subjects;
};

// Of a check that has a verdict.
Complaint Violation(const Model& model, const Conversation& conversation, const Check& check);
// Of one whose machine is in no final state; sets `check.role` to the side that owes something.
Complaint Incomplete(const Model& model, const Conversation& conversation, Check& check);

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_COMPLAINT_H_

// Who plays which role of a protocol, or whether it is for this conversation at all.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_CASTING_H_
#define IPCTRACE_ANALYZER_PROTOCOL_CASTING_H_

#include "analyzer/model/model.h"
#include "analyzer/protocol/conversation.h"

namespace ipctrace::protocol {

// The two directions that are to be looked at, each with the side that sends it. Side 1 may have no
// flow (one pipe alone) and no object (a peer outside the run).
struct Sides {
  const Flow* flows[2];
  const Object* objects[2];
};

// The role that side 0 plays; -1: the protocol is not for these two.
int RoleOfFirst(const Model& model, const Protocol& protocol, const Sides& sides);

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_CASTING_H_

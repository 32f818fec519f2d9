// protocol-incomplete: a conversation that ended outside a final state of its protocol. How
// conversations are followed is in analyzer/protocol.
#include "analyzer/protocol/protocol_rule.h"

namespace ipctrace {
namespace {

class ProtocolIncomplete : public protocol::ProtocolRule {
 public:
  ProtocolIncomplete() : ProtocolRule(&protocol::Tracker::on_incomplete) {}
};

REGISTER_RULE(ProtocolIncomplete, "protocol-incomplete", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace

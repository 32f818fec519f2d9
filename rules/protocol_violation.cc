// protocol-violation: a message, close or timer that the protocol does not allow in the state it
// came in. How conversations are followed is in analyzer/protocol.
#include "analyzer/protocol/protocol_rule.h"

namespace ipctrace {
namespace {

class ProtocolViolation : public protocol::ProtocolRule {
 public:
  ProtocolViolation() : ProtocolRule(&protocol::Tracker::on_violation) {}
};

REGISTER_RULE(ProtocolViolation, "protocol-violation", Severity::kError, {});

}  // namespace
}  // namespace ipctrace

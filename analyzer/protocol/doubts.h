// What a protocol can never mean, though its file is without a mistake.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_DOUBTS_H_
#define IPCTRACE_ANALYZER_PROTOCOL_DOUBTS_H_

#include <vector>

#include "analyzer/protocol/parser.h"

namespace ipctrace::protocol {

// States that cannot be reached or have no way out, transitions that never come to their turn,
// messages that can never match.
std::vector<Remark> Doubts(const Protocol& protocol);

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_DOUBTS_H_

// The message transaction diagram: who said what to whom, in order of time, as items that the
// writers draw.
#ifndef IPCTRACE_ANALYZER_DIAGRAM_TIMELINE_H_
#define IPCTRACE_ANALYZER_DIAGRAM_TIMELINE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "analyzer/findings/finding.h"
#include "analyzer/protocol/machine.h"

namespace ipctrace::diagram {

struct Item {
  enum Kind : uint8_t { kMessage, kConnect, kFork, kEvent, kBlocked, kViolation, kFold };
  Kind kind = kEvent;
  Nanos time = 0;
  int from = -1;  // lifelines; `to` is -1 where there is no other side
  int to = -1;
  bool unread = false;
  std::string text;  // as it came from the program: the writers escape it
  std::string sort;  // items of one sort fold: "request", "close"
  int64_t more = 0;  // kFold: so many items are left out
};

struct Diagram {
  std::vector<std::string> lifelines;  // "server[12]", "server[12] thread 14"
  std::vector<Item> items;
};

struct Cut {
  std::string connection;  // part of a connection's or pipe's description; empty: all
  std::string process;     // a program's name or a pid; empty: all
  Nanos from = 0, until = INT64_MAX;
};

// Reads a trace, with the loaded protocols. `coverage` (one for each protocol) may be null.
absl::Status ReadDiagram(const std::string& trace, const Cut& cut, Diagram* diagram,
                         std::vector<protocol::Coverage>* coverage);

// Puts "× N more" for repetitions.
void Fold(Diagram* diagram);

std::string WriteText(const Diagram& diagram);
std::string WriteMermaid(const Diagram& diagram);
std::string WriteSvg(const Diagram& diagram);

// The state machine itself; what a run covered is marked where `coverage` is not null.
std::string WriteStatesText(const protocol::Protocol& protocol, const protocol::Coverage* coverage);
std::string WriteStatesMermaid(const protocol::Protocol& protocol,
                               const protocol::Coverage* coverage);
std::string WriteStatesSvg(const protocol::Protocol& protocol, const protocol::Coverage* coverage);

// For the text of a Mermaid diagram: nothing in it can end the line or begin a statement or a tag.
std::string EscapeMermaid(std::string_view text);

}  // namespace ipctrace::diagram

#endif  // IPCTRACE_ANALYZER_DIAGRAM_TIMELINE_H_

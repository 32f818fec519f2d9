// ipctrace diagram: the message transaction diagram of a trace; or, without one, the state machine
// of a protocol. With both, --of chooses: the conversation, or the states that it covered.
#include <stdio.h>

#include "analyzer/cli/commands.h"
#include "analyzer/cli/tracing.h"
#include "analyzer/diagram/timeline.h"
#include "analyzer/protocol/protocol.h"

namespace ipctrace {

int DiagramCommand(const Options& options) {
  if (options.arguments.size() > 1) return Fail("diagram takes one trace");
  if (options.arguments.empty() && options.protocols.empty())
    return Fail("diagram needs a trace, or --protocol=FILE for the state machine of a protocol");
  if (const absl::Status status = LoadProtocols(options); !status.ok())
    return Fail(std::string(status.message()));
  const auto& protocols = protocol::LoadedProtocols();
  const std::string format = options.format.empty() ? "text" : options.format;

  diagram::Diagram drawn;
  std::vector<protocol::Coverage> coverage;
  absl::Status read;
  if (!options.arguments.empty()) {
    diagram::Cut cut;
    cut.connection = options.connection;
    cut.process = options.process;
    cut.from = absl::ToInt64Nanoseconds(options.from);
    cut.until = absl::ToInt64Nanoseconds(options.until);
    read = diagram::ReadDiagram(options.arguments[0], cut, &drawn, &coverage);
    if (!read.ok() && read.code() != absl::StatusCode::kDataLoss)
      return Fail(std::string(read.message()));
    diagram::Fold(&drawn);
    if (drawn.items.empty() && !options.states)
      return Fail(
          "nothing of the trace is left to draw: see --connection, --process, --from and --until");
  }

  std::string text;
  if (options.arguments.empty() || options.states) {
    for (size_t i = 0; i < protocols.size(); ++i) {
      const protocol::Coverage* covered = i < coverage.size() ? &coverage[i] : nullptr;
      text += format == "svg"       ? diagram::WriteStatesSvg(*protocols[i], covered)
              : format == "mermaid" ? diagram::WriteStatesMermaid(*protocols[i], covered)
                                    : diagram::WriteStatesText(*protocols[i], covered);
    }
  } else {
    text = format == "svg"       ? diagram::WriteSvg(drawn)
           : format == "mermaid" ? diagram::WriteMermaid(drawn)
                                 : diagram::WriteText(drawn);
  }
  if (fwrite(text.data(), 1, text.size(), stdout) != text.size() || fflush(stdout) != 0)
    return Fail("cannot write to standard output");
  return read.ok() ? 0 : Fail(std::string(read.message()));
}

}  // namespace ipctrace

// Reads a protocol's file. The grammar is in library/README.md.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_PARSER_H_
#define IPCTRACE_ANALYZER_PROTOCOL_PARSER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analyzer/protocol/protocol.h"

namespace ipctrace::protocol {

// A larger file is refused.
inline constexpr size_t kMostProtocolBytes = size_t{1} << 20;

struct Remark {
  Place place;
  std::string text;  // for an error: what was expected, and what stands there
};

struct Parsed {
  std::shared_ptr<const Protocol> protocol;  // null where there are errors
  std::vector<Remark> errors;                // at most one a line
  std::vector<Remark> warnings;              // what the protocol can never mean
};

// `file` is the name for remarks. Any bytes are taken; nothing in them can make this fail otherwise
// than by errors.
Parsed Parse(std::string_view text, const std::string& file);

// Reads a file, or the protocol of the library that is called so ("echo"). Warnings come as
// "file:line:column: warning: ..." lines; errors alike, in the status.
absl::StatusOr<std::shared_ptr<const Protocol>> Load(const std::string& name,
                                                     std::vector<std::string>* warnings);

// The protocols that come with ipctrace: name and text.
struct LibraryProtocol {
  const char* name;
  const char* text;
};
extern const LibraryProtocol kLibrary[];  // the last has no name

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_PARSER_H_

// The words of a protocol's file.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_LEXER_H_
#define IPCTRACE_ANALYZER_PROTOCOL_LEXER_H_

#include <string>
#include <string_view>
#include <vector>

#include "analyzer/protocol/protocol.h"

namespace ipctrace::protocol {

struct Token {
  enum Kind : uint8_t { kWord, kNumber, kString, kPattern, kSymbol, kEnd /* of a line */, kBad };
  Kind kind = kEnd;
  std::string text;  // a string's bytes, a pattern without its slashes; of kBad: what is wrong
  int64_t number = 0;
  Place place;
  size_t begin = 0, end = 0;  // in the file
};

// One vector for each line that says something, each with a kEnd at its end. A line that ends in a
// backslash goes on in the next one; # begins a comment.
std::vector<std::vector<Token>> Lex(std::string_view text);

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_LEXER_H_

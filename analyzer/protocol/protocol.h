// A protocol: who may say what when, as a state machine over the messages that framing makes of
// two streams of bytes. Read from a text file (parser.h; the grammar is in library/README.md).
//
// A Protocol never changes once it is parsed; conversations share it.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_PROTOCOL_H_
#define IPCTRACE_ANALYZER_PROTOCOL_PROTOCOL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "analyzer/findings/finding.h"

namespace re2 {
class RE2;
}

namespace ipctrace::protocol {

// In the protocol's file; both from 1.
struct Place {
  int line = 0, column = 0;
};

// Bytes or a number. Names that were never bound are empty.
using Value = std::variant<std::string, int64_t>;

struct Expression {
  enum Kind : uint8_t {
    kNumber,
    kString,
    kVariable,
    kBinding,
    kLength,
    kToNumber,
    kLower,
    kOutstanding,
    kNot,
    kNegate,
    kOr,
    kAnd,
    kEqual,
    kUnequal,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kPlus,
    kMinus,
    kTimes,
  };
  Kind kind = kNumber;
  Place place;
  int64_t number = 0;
  std::string text;  // string; variable's name; binding's name
  int message = -1;  // kBinding, kOutstanding: of which message
  std::vector<Expression> operands;
};

struct Guard {
  Expression expression;
  std::string source;  // as it stands in the file
};

struct Framing {
  enum Kind : uint8_t { kLine, kNul, kFixed, kLength, kDelimiter, kHttp, kResp, kUntilClose };
  Kind kind = kLine;
  size_t size = 0;  // kFixed: bytes of a message; kLength: width of the length field
  bool big = true;  // kLength: byte order
  bool includes_itself = false;
  std::string delimiter;           // kLine: "\n", kNul: "\0"
  size_t most = size_t{16} << 20;  // bytes of one message
  std::string Words() const;       // "a newline ends a message"
};

struct Role {
  enum Plays : uint8_t { kAny, kConnects, kAccepts, kWrites, kReads, kParent, kChild };
  static const char* Word(Plays plays);  // as it stands in the file; kAny: ""
  std::string name;
  Plays plays = kAny;
  int port = 0;         // 0: any. Of the side that accepts
  std::string program;  // empty: any
  Framing framing;
  Place place;
};

// A number or some bytes of a message, by where they stand.
struct Field {
  std::string name;
  size_t offset = 0;
  size_t width = 0;  // 0: the rest of the message
  bool is_number = false;
  bool is_signed = false;
  bool big = true;
};

struct Message {
  std::string name;
  int role = -1;                               // who may send it; -1: either
  std::string pattern;                         // empty: any bytes
  std::shared_ptr<const re2::RE2> expression;  // null: any bytes. Matches the whole message
  std::vector<std::string> groups;             // names of its groups, by number; empty: nameless
  std::vector<Field> fields;
  Place place;
};

enum class Trigger : uint8_t { kSends, kCloses, kHalfCloses, kResets, kTimer };

struct Transition {
  Trigger trigger = Trigger::kSends;
  int role = -1;
  int message = -1;
  std::vector<Guard> when;  // all must hold; none or one
  struct Assignment {
    std::string name;
    Expression value;
  };
  std::vector<Assignment> set;
  bool remember = false;  // the message joins the queue of those that wait for an answer
  int answers = -1;       // takes the oldest of this message's queue, which must not be empty
  Nanos within = 0;       // kTimer
  int since = -1;         // kTimer: from when the oldest remembered message of this kind was sent
  int target = -1;        // -1 for a timer: its expiry is the violation
  Place place;
};

struct State {
  std::string name;
  bool final = false;
  std::vector<Guard> final_when;  // none or one
  bool failed = false;
  std::string failure;  // in words
  std::vector<Transition> transitions;
  Place place;
};

// What conversations a protocol may be for.
struct Watch {
  bool pipes = false, sockets = false;
  int port = 0;  // of the sockets; 0: any
};

struct Protocol {
  std::string name;
  std::string file;
  std::vector<Role> roles;  // two
  std::vector<Message> messages;
  std::vector<State> states;  // the first is where a conversation begins
  // Whether it says when this role may close: then it may not close elsewhere.
  bool mentions_close[2] = {false, false};
  bool mentions_half_close = false;

  Watch Watches() const;

  // "client sends request", "server closes", "2 s pass".
  std::string Words(const Transition& transition) const;
};

// The protocols that this analysis checks: set by the command before the rules are made.
const std::vector<std::shared_ptr<const Protocol>>& LoadedProtocols();
void SetLoadedProtocols(std::vector<std::shared_ptr<const Protocol>> protocols);

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_PROTOCOL_H_

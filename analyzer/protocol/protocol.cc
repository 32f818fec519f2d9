#include "analyzer/protocol/protocol.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "analyzer/report/escape.h"

namespace ipctrace::protocol {
namespace {

std::vector<std::shared_ptr<const Protocol>>& Loaded() {
  static auto* const loaded = new std::vector<std::shared_ptr<const Protocol>>;
  return *loaded;
}

}  // namespace

const std::vector<std::shared_ptr<const Protocol>>& LoadedProtocols() { return Loaded(); }

void SetLoadedProtocols(std::vector<std::shared_ptr<const Protocol>> protocols) {
  Loaded() = std::move(protocols);
}

const char* Role::Word(Plays plays) {
  static constexpr const char* kWords[] = {"",      "connects", "accepts", "writes",
                                           "reads", "parent",   "child"};
  return kWords[plays];
}

std::string Framing::Words() const {
  switch (kind) {
    case kLine:
      return "a newline ends a message";
    case kNul:
      return "a NUL byte ends a message";
    case kFixed:
      return absl::StrCat("a message has ", size, " bytes");
    case kLength:
      return absl::StrCat("a message begins with its length in ", size,
                          size == 1 ? " byte"
                          : big     ? " bytes, big-endian"
                                    : " bytes, little-endian",
                          includes_itself ? ", which counts itself" : "");
    case kDelimiter:
      return absl::StrCat("\"", EscapeTerminal(delimiter), "\" ends a message");
    case kHttp:
      return "an empty line ends the head, which says how long the body is";
    case kResp:
      return "a message is one RESP value";
    case kUntilClose:
      return "all that comes until the close is one message";
  }
  return "";
}

Watch Protocol::Watches() const {
  Watch watch{true, true, 0};
  for (const Role& role : roles) {
    watch.pipes = watch.pipes && role.port == 0 && role.plays != Role::kConnects &&
                  role.plays != Role::kAccepts;
    watch.sockets = watch.sockets && role.plays != Role::kWrites && role.plays != Role::kReads;
    if (role.port != 0) watch.port = role.port;
  }
  return watch;
}

std::string Protocol::Words(const Transition& transition) const {
  const auto name = [&](int role) {
    return role < 0 ? std::string("?") : roles[static_cast<size_t>(role)].name;
  };
  std::string words;
  switch (transition.trigger) {
    case Trigger::kSends:
      words = absl::StrCat(name(transition.role), " sends ",
                           messages[static_cast<size_t>(transition.message)].name);
      break;
    case Trigger::kCloses:
      words = name(transition.role) + " closes";
      break;
    case Trigger::kHalfCloses:
      words = name(transition.role) + " half-closes";
      break;
    case Trigger::kResets:
      words = name(transition.role) + " resets";
      break;
    case Trigger::kTimer:
      words = transition.within % 1'000'000'000 == 0
                  ? absl::StrCat(transition.within / 1'000'000'000, " s pass")
                  : absl::StrCat(transition.within / 1'000'000, " ms pass");
      if (transition.since >= 0)
        words += " after " + messages[static_cast<size_t>(transition.since)].name;
      break;
  }
  for (const Guard& guard : transition.when) words += " when " + guard.source;
  return words;
}

}  // namespace ipctrace::protocol

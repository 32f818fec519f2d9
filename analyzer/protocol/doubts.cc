// What a protocol can never mean, though its file is without a mistake.
#include "analyzer/protocol/doubts.h"

#include <re2/re2.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace ipctrace::protocol {
namespace {

class Doubter {
 public:
  explicit Doubter(const Protocol& protocol) : protocol_(protocol) {}

  std::vector<Remark> Run() {
    const auto warn = [&](Place place, const std::string& text) {
      warnings_.push_back({place, text});
    };
    const auto& states = protocol_.states;
    std::vector<bool> reached(states.size());
    std::vector<size_t> todo = {0};
    reached[0] = true;
    while (!todo.empty()) {
      const State& state = states[todo.back()];
      todo.pop_back();
      for (const Transition& t : state.transitions) {
        if (t.target < 0 || reached[static_cast<size_t>(t.target)]) continue;
        reached[static_cast<size_t>(t.target)] = true;
        todo.push_back(static_cast<size_t>(t.target));
      }
    }
    std::vector<bool> out(states.size());
    for (size_t i = 0; i < states.size(); ++i) out[i] = states[i].final || states[i].failed;
    for (bool grew = true; grew;) {
      grew = false;
      for (size_t i = 0; i < states.size(); ++i) {
        if (out[i]) continue;
        for (const Transition& t : states[i].transitions) {
          if (t.target >= 0 && out[static_cast<size_t>(t.target)]) out[i] = grew = true;
        }
      }
    }
    std::vector<bool> used(protocol_.messages.size());
    for (size_t i = 0; i < states.size(); ++i) {
      const State& state = states[i];
      if (state.failed && !state.transitions.empty())
        warn(state.transitions[0].place, "this can never happen: to come to the state " +
                                             state.name + " is a violation already");
      if (!reached[i]) warn(state.place, "the state " + state.name + " can never be reached");
      if (!out[i])
        warn(state.place, "from the state " + state.name + " no final state can be reached");
      for (size_t k = 0; k < state.transitions.size(); ++k) {
        const Transition& t = state.transitions[k];
        if (t.message >= 0) {
          used[static_cast<size_t>(t.message)] = true;
          const Role& role = protocol_.roles[static_cast<size_t>(t.role)];
          const Role& other = protocol_.roles[static_cast<size_t>(1 - t.role)];
          if (role.plays == Role::kReads || other.plays == Role::kWrites)
            warn(t.place,
                 "this can never happen: " + role.name +
                     " reads a pipe, which sends nothing (parent and child have two pipes)");
        }
        for (size_t j = 0; j < k; ++j) {
          if (!Shadows(state.transitions[j], t)) continue;
          warn(t.place, absl::StrCat("this can never happen: the transition of line ",
                                     state.transitions[j].place.line, " takes all of it"));
          break;
        }
      }
    }
    for (size_t i = 0; i < protocol_.messages.size(); ++i) {
      const Message& message = protocol_.messages[i];
      if (!used[i]) warn(message.place, "the message " + message.name + " is in no state allowed");
      for (size_t r = 0; r < 2; ++r) {
        if (message.role >= 0 && static_cast<size_t>(message.role) != r) continue;
        const std::string reason = NeverMatches(message, protocol_.roles[r].framing);
        if (reason.empty()) continue;
        warn(message.place, "the message " + message.name + " can never match: " + reason);
        break;
      }
    }
    return std::move(warnings_);
  }

 private:
  bool Shadows(const Transition& a, const Transition& b) const {
    if (a.trigger != b.trigger || a.role != b.role || !a.when.empty() || a.answers >= 0 ||
        a.trigger == Trigger::kTimer)
      return false;
    if (a.trigger != Trigger::kSends || a.message == b.message) return true;
    const Message& first = protocol_.messages[static_cast<size_t>(a.message)];
    const Message& second = protocol_.messages[static_cast<size_t>(b.message)];
    if (!first.fields.empty()) return false;
    return first.expression == nullptr || first.pattern == ".*" || first.pattern == second.pattern;
  }

  std::string NeverMatches(const Message& message, const Framing& framing) const {
    for (const Field& field : message.fields) {
      if (framing.kind == Framing::kFixed &&
          field.offset + std::max<size_t>(field.width, 1) > framing.size)
        return absl::StrCat("its field ", field.name, " lies behind the end of a message of ",
                            framing.size, " bytes");
      if (framing.kind != Framing::kFixed && field.offset + field.width > framing.most)
        return absl::StrCat("its field ", field.name, " lies behind the longest message");
    }
    if (message.expression == nullptr) return "";
    // The shortest and the longest that could match are not known; but whether one byte must be in
    // it that the framing takes away is, where the pattern is plain.
    const bool line = framing.kind == Framing::kLine || framing.kind == Framing::kNul;
    if (line && message.pattern.find('|') == std::string::npos) {
      const std::string needle = framing.kind == Framing::kLine ? "\\n" : "\\0";
      int depth = 0;
      bool set = false;
      for (size_t i = 0; i + 1 < message.pattern.size(); ++i) {
        const char c = message.pattern[i];
        if (c == '\\') {
          const char after = i + 2 < message.pattern.size() ? message.pattern[i + 2] : ' ';
          if (!set && depth == 0 && message.pattern.compare(i, 2, needle) == 0 && after != '?' &&
              after != '*' && after != '{')
            return "it asks for the byte that ends a message, which is not part of one";
          ++i;
          continue;
        }
        if (c == '[') set = true;
        if (c == ']') set = false;
        if (!set && c == '(') ++depth;
        if (!set && c == ')') --depth;
      }
    }
    // An anchor inside: a^b, a$b.
    std::string least, most;
    re2::RE2::Options options;
    options.set_encoding(re2::RE2::Options::EncodingLatin1);
    options.set_log_errors(false);
    static const re2::RE2 inner_anchor("[a-zA-Z0-9]\\^|(^|[^\\\\])\\$[a-zA-Z0-9]", options);
    static const re2::RE2 sets("\\\\.|\\[[^\\]]*\\]", options);
    std::string plain = message.pattern;
    re2::RE2::GlobalReplace(&plain, sets, "");
    if (plain.find('|') == std::string::npos && re2::RE2::PartialMatch(plain, inner_anchor))
      return "it asks for a beginning or an end in the middle";
    if (framing.kind == Framing::kFixed) {
      // As many bytes of each kind as a message has: a pattern without a star is of one length.
      if (plain == message.pattern && plain.find_first_of("*+?{}().|^$\\[]") == std::string::npos &&
          plain.size() != framing.size)
        return absl::StrCat("it has ", plain.size(), " bytes, and a message ", framing.size);
    }
    return "";
  }

  const Protocol& protocol_;
  std::vector<Remark> warnings_;
};

}  // namespace

std::vector<Remark> Doubts(const Protocol& protocol) { return Doubter(protocol).Run(); }

}  // namespace ipctrace::protocol

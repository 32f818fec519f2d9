// A protocol's state machine, drawn.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "analyzer/diagram/timeline.h"
#include "analyzer/report/escape.h"

namespace ipctrace::diagram {
namespace {

using protocol::Coverage;
using protocol::Protocol;
using protocol::State;
using protocol::Transition;

uint64_t Taken(const Coverage* coverage, size_t state, size_t transition) {
  return coverage == nullptr ? 0 : coverage->transitions[state][transition];
}
bool Entered(const Coverage* coverage, size_t state) {
  return coverage != nullptr && coverage->states[state] > 0;
}

std::string Words(const Protocol& protocol, const Transition& t, uint64_t taken) {
  std::string words = protocol.Words(t);
  if (t.remember) words += ", remembered";
  if (t.answers >= 0)
    words += ", answers " + protocol.messages[static_cast<size_t>(t.answers)].name;
  if (taken > 0) absl::StrAppend(&words, " (", taken, " times)");
  return words;
}

}  // namespace

std::string WriteStatesText(const Protocol& protocol, const Coverage* coverage) {
  std::string text = "protocol " + protocol.name + "\n";
  for (size_t s = 0; s < protocol.states.size(); ++s) {
    const State& state = protocol.states[s];
    absl::StrAppend(
        &text, Entered(coverage, s) ? "● " : "○ ", state.name, s == 0 ? " (initial)" : "",
        state.final ? " (final)" : "", state.failed ? " (failed)" : "",
        Entered(coverage, s) ? absl::StrCat("  entered ", coverage->states[s], " times") : "",
        "\n");
    for (size_t i = 0; i < state.transitions.size(); ++i) {
      const Transition& t = state.transitions[i];
      const uint64_t taken = Taken(coverage, s, i);
      absl::StrAppend(
          &text, "    ", taken > 0 ? "✓ " : "  ", EscapeTerminal(Words(protocol, t, taken)), " → ",
          t.target < 0 ? "violation" : protocol.states[static_cast<size_t>(t.target)].name, "\n");
    }
  }
  return text;
}

std::string WriteStatesMermaid(const Protocol& protocol, const Coverage* coverage) {
  std::string text = "stateDiagram-v2\n  classDef covered fill:#cfc,stroke:#080\n";
  bool violation = false;
  for (size_t s = 0; s < protocol.states.size(); ++s)
    absl::StrAppend(&text, "  s", s, ": ", EscapeMermaid(protocol.states[s].name), "\n");
  text += "  [*] --> s0\n";
  for (size_t s = 0; s < protocol.states.size(); ++s) {
    const State& state = protocol.states[s];
    for (size_t i = 0; i < state.transitions.size(); ++i) {
      const Transition& t = state.transitions[i];
      const uint64_t taken = Taken(coverage, s, i);
      violation |= t.target < 0;
      absl::StrAppend(&text, "  s", s, " --> ",
                      t.target < 0 ? "violation" : absl::StrCat("s", t.target), ": ",
                      taken > 0 ? "✓ " : "", EscapeMermaid(Words(protocol, t, taken)), "\n");
    }
    if (state.final) absl::StrAppend(&text, "  s", s, " --> [*]\n");
    if (Entered(coverage, s)) absl::StrAppend(&text, "  class s", s, " covered\n");
  }
  return text;
}

// The states one below the other, transitions as bows to their right, and what they say beside.
std::string WriteStatesSvg(const Protocol& protocol, const Coverage* coverage) {
  constexpr int kLeft = 20, kBox = 170, kHeight = 34, kTop = 30;
  // A state takes as many rows as it has transitions.
  std::vector<int> tops;
  int y = kTop;
  size_t edges = 0;
  for (const State& state : protocol.states) {
    tops.push_back(y);
    y += std::max<int>(static_cast<int>(state.transitions.size()) * 18, kHeight) + 24;
    edges += state.transitions.size();
  }
  const int bows = kLeft + kBox;
  const int words = bows + 60 + static_cast<int>(edges) * 6;
  const int width = words + 620;
  std::string svg = absl::StrCat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", width, "\" height=\"", y,
      "\" viewBox=\"0 0 ", width, " ", y, "\" font-family=\"sans-serif\" font-size=\"12\">\n",
      "<defs><marker id=\"arrow\" markerWidth=\"8\" markerHeight=\"8\" refX=\"7\" refY=\"4\" "
      "orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\"/></marker></defs>\n",
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"", kLeft,
      "\" y=\"18\" font-weight=\"bold\">protocol ", EscapeXml(protocol.name), "</text>\n");
  int bend = 20;
  for (size_t s = 0; s < protocol.states.size(); ++s) {
    const State& state = protocol.states[s];
    const bool entered = Entered(coverage, s);
    absl::StrAppend(&svg, "<rect x=\"", kLeft, "\" y=\"", tops[s], "\" width=\"", kBox,
                    "\" height=\"", kHeight, "\" rx=\"8\" fill=\"", entered ? "#cfc" : "white",
                    "\" stroke=\"",
                    state.failed ? "#c00"
                    : entered    ? "#080"
                                 : "black",
                    "\" stroke-width=\"", state.final ? 3 : 1, "\"/>\n<text x=\"", kLeft + kBox / 2,
                    "\" y=\"", tops[s] + 21, "\" text-anchor=\"middle\">", s == 0 ? "▸ " : "",
                    EscapeXml(state.name), "</text>\n");
    for (size_t i = 0; i < state.transitions.size(); ++i) {
      const Transition& t = state.transitions[i];
      const uint64_t taken = Taken(coverage, s, i);
      const char* color = taken > 0 ? "#080" : "#888";
      const int row = tops[s] + 8 + static_cast<int>(i) * 18;
      const int start = std::min(row, tops[s] + kHeight - 2);
      const int target =
          t.target < 0 ? start
                       : tops[static_cast<size_t>(t.target)] + 6 + static_cast<int>(s * 3 % 24);
      bend += 6;
      if (t.target >= 0) {
        absl::StrAppend(&svg, "<path d=\"M", bows, ",", start, " C", bows + bend, ",", start, " ",
                        bows + bend, ",", target, " ", bows + 1, ",", target,
                        "\" fill=\"none\" stroke=\"", color, "\" marker-end=\"url(#arrow)\"/>\n");
      }
      absl::StrAppend(
          &svg, "<text x=\"", words, "\" y=\"", row + 4, "\" fill=\"", taken > 0 ? "#060" : "#444",
          "\">",
          EscapeXml(absl::StrCat(
              taken > 0 ? "✓ " : "", state.name, ": ", Words(protocol, t, taken), " → ",
              t.target < 0 ? "violation" : protocol.states[static_cast<size_t>(t.target)].name)),
          "</text>\n");
    }
  }
  return svg + "</svg>\n";
}

}  // namespace ipctrace::diagram

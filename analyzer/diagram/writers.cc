// The message transaction diagram as text, Mermaid and SVG. What came from the traced program is
// escaped here, for each form in its own way.
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analyzer/diagram/timeline.h"
#include "analyzer/report/escape.h"

namespace ipctrace::diagram {
namespace {

std::string Time(Nanos time) { return absl::StrFormat("%.3f ms", static_cast<double>(time) / 1e6); }

std::string FoldText(const Item& item) {
  std::string number = std::to_string(item.more);
  for (size_t at = number.size(); at > 3; at -= 3) number.insert(at - 3, ",");
  return item.text + "× " + number + " more";
}

}  // namespace

std::string EscapeMermaid(std::string_view text) {
  std::string result;
  const std::string plain = EscapeTerminal(text);
  for (size_t i = 0; i < plain.size(); ++i) {
    const char c = plain[i];
    const bool safe = absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                      (static_cast<uint8_t>(c) & 0x80) != 0 || c == ' ' || c == '.' || c == ',' ||
                      c == '(' || c == ')' || c == '/' || c == '_' || c == '=' || c == '-' ||
                      c == '+';
    // The word `end` closes a block wherever it stands.
    const bool end = absl::ascii_tolower(static_cast<unsigned char>(c)) == 'e' &&
                     i + 2 < plain.size() &&
                     absl::ascii_tolower(static_cast<unsigned char>(plain[i + 1])) == 'n' &&
                     absl::ascii_tolower(static_cast<unsigned char>(plain[i + 2])) == 'd';
    // Two hyphens, as of an arrow or a comment's %%.
    const bool arrow = c == '-' && i > 0 && plain[i - 1] == '-';
    if (safe && !end && !arrow) {
      result += c;
    } else {
      absl::StrAppend(&result, "#", static_cast<unsigned>(static_cast<uint8_t>(c)), ";");
    }
  }
  return result;
}

std::string WriteText(const Diagram& diagram) {
  std::string text;
  const size_t count = diagram.lifelines.size();
  constexpr size_t kTime = 13, kStep = 12;
  // Names one below the other, each over its line, so that long ones find room.
  for (size_t i = 0; i < count; ++i) {
    std::string row(kTime, ' ');
    for (size_t k = 0; k < i; ++k) row += "│" + std::string(kStep - 1, ' ');
    text += row + EscapeTerminal(diagram.lifelines[i]) + "\n";
  }
  for (const Item& item : diagram.items) {
    // Cells of one column each; the lines stand at multiples of kStep.
    std::vector<std::string> cells(count == 0 ? 1 : (count - 1) * kStep + 1, " ");
    for (size_t i = 0; i < count; ++i) cells[i * kStep] = "│";
    const size_t from = static_cast<size_t>(std::max(item.from, 0)) * kStep;
    const size_t to = item.to < 0 ? from : static_cast<size_t>(item.to) * kStep;
    std::string what = EscapeTerminal(item.text);
    switch (item.kind) {
      case Item::kMessage:
      case Item::kConnect:
      case Item::kFork:
        if (to == from) {
          cells[from] = item.kind == Item::kMessage ? (item.unread ? "×" : "↺") : "●";
          break;
        }
        for (size_t i = std::min(from, to) + 1; i < std::max(from, to); ++i)
          cells[i] = item.kind == Item::kMessage ? "─" : "╌";
        cells[from] = to > from ? "├" : "┤";
        if (item.kind == Item::kFork) cells[from] = "●";
        cells[to > from ? to - 1 : to + 1] = item.unread ? "×" : to > from ? "▶" : "◀";
        break;
      case Item::kEvent:
        cells[from] = "●";
        break;
      case Item::kBlocked:
        cells[from] = "┇";
        break;
      case Item::kViolation:
        cells[from] = "✗";
        what = "✗ " + what;
        break;
      case Item::kFold:
        for (size_t i = 0; i < count; ++i) cells[i * kStep] = "┊";
        what = FoldText(item);
        break;
    }
    std::string row = absl::StrFormat("%*s", static_cast<int>(kTime) - 2, Time(item.time)) + "  ";
    for (const std::string& cell : cells) row += cell;
    text += row + "  " + (item.kind == Item::kViolation ? what : Fit(what, 100)) + "\n";
  }
  return text;
}

std::string WriteMermaid(const Diagram& diagram) {
  std::string text = "sequenceDiagram\n";
  for (size_t i = 0; i < diagram.lifelines.size(); ++i)
    absl::StrAppend(&text, "  participant p", i, " as ", EscapeMermaid(diagram.lifelines[i]), "\n");
  if (diagram.lifelines.empty()) return text + "  participant p0 as nobody\n";
  for (const Item& item : diagram.items) {
    const std::string what = EscapeMermaid(item.text);
    const std::string time = Time(item.time);
    const bool two = item.to >= 0 && item.to != item.from;
    switch (item.kind) {
      case Item::kMessage:
      case Item::kConnect:
      case Item::kFork:
        if (two || item.kind == Item::kMessage) {
          absl::StrAppend(&text, "  p", item.from,
                          item.kind != Item::kMessage ? "-->>p"
                          : item.unread               ? "-xp"
                                                      : "->>p",
                          item.to < 0 ? item.from : item.to, ": ", time, " ", what, "\n");
          break;
        }
        [[fallthrough]];
      case Item::kEvent:
        absl::StrAppend(&text, "  Note over p", item.from, ": ", time, " ", what, "\n");
        break;
      case Item::kBlocked:
        absl::StrAppend(&text, "  Note right of p", item.from, ": ", time, " ", what, "\n");
        break;
      case Item::kViolation:
        absl::StrAppend(&text, "  rect rgb(255, 220, 220)\n    Note over p", item.from, ": ✗ ",
                        what, "\n  end\n");
        break;
      case Item::kFold:
        absl::StrAppend(
            &text, "  Note over p0",
            diagram.lifelines.size() > 1 ? absl::StrCat(",p", diagram.lifelines.size() - 1) : "",
            ": ", FoldText(item), "\n");
        break;
    }
  }
  return text;
}

std::string WriteSvg(const Diagram& diagram) {
  const int count = static_cast<int>(diagram.lifelines.size());
  constexpr int kLeft = 100, kStep = 170, kTop = 50, kRow = 26;
  const int right = kLeft + std::max(count - 1, 0) * kStep + 40;
  const int width = right + 640;
  const int height = kTop + static_cast<int>(diagram.items.size() + 1) * kRow;
  std::string svg = absl::StrCat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", width, "\" height=\"", height,
      "\" viewBox=\"0 0 ", width, " ", height, "\" font-family=\"sans-serif\" font-size=\"12\">\n",
      "<defs><marker id=\"arrow\" markerWidth=\"8\" markerHeight=\"8\" refX=\"7\" refY=\"4\" "
      "orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\"/></marker></defs>\n",
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
  const auto x = [&](int line) { return kLeft + std::max(line, 0) * kStep; };
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(&svg, "<line x1=\"", x(i), "\" y1=\"", kTop - 14, "\" x2=\"", x(i), "\" y2=\"",
                    height, "\" stroke=\"#bbb\"/>\n<text x=\"", x(i), "\" y=\"", kTop - 20,
                    "\" text-anchor=\"middle\" font-weight=\"bold\">",
                    EscapeXml(diagram.lifelines[static_cast<size_t>(i)]), "</text>\n");
  }
  int y = kTop;
  for (const Item& item : diagram.items) {
    y += kRow;
    const char* color = item.kind == Item::kViolation ? "#c00"
                        : item.kind == Item::kMessage ? "black"
                                                      : "#666";
    absl::StrAppend(&svg, "<text x=\"4\" y=\"", y + 4, "\" fill=\"#888\" font-size=\"10\">",
                    Time(item.time), "</text>\n");
    const bool two = item.to >= 0 && item.to != item.from;
    if (item.kind == Item::kBlocked) {
      absl::StrAppend(&svg, "<rect x=\"", x(item.from) - 4, "\" y=\"", y - 9,
                      "\" width=\"8\" height=\"", 18, "\" fill=\"#fc6\"/>\n");
    } else if (item.kind == Item::kFold) {
      absl::StrAppend(&svg, "<line x1=\"", x(0), "\" y1=\"", y, "\" x2=\"", x(count - 1),
                      "\" y2=\"", y, "\" stroke=\"#bbb\" stroke-dasharray=\"2 4\"/>\n");
    } else if (two && item.kind != Item::kViolation) {
      absl::StrAppend(&svg, "<line x1=\"", x(item.from), "\" y1=\"", y, "\" x2=\"", x(item.to),
                      "\" y2=\"", y, "\" stroke=\"", color, "\"",
                      item.kind == Item::kMessage ? "" : " stroke-dasharray=\"5 3\"",
                      item.unread ? " stroke-opacity=\"0.4\"" : "",
                      " marker-end=\"url(#arrow)\"/>\n");
    } else {
      absl::StrAppend(&svg, "<circle cx=\"", x(item.from), "\" cy=\"", y, "\" r=\"4\" fill=\"",
                      color, "\"/>\n");
    }
    const std::string what = item.kind == Item::kFold        ? FoldText(item)
                             : item.kind == Item::kViolation ? "✗ " + item.text
                                                             : item.text;
    absl::StrAppend(&svg, "<text x=\"", right, "\" y=\"", y + 4, "\" fill=\"", color, "\">",
                    EscapeXml(what), "</text>\n");
  }
  return svg + "</svg>\n";
}

}  // namespace ipctrace::diagram

// The report for people: what is wrong, the line, how it came about, the one change that mends it.
#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "analyzer/report/escape.h"
#include "analyzer/report/source.h"
#include "analyzer/report/words.h"
#include "analyzer/report/writers.h"

namespace ipctrace {
namespace {

constexpr size_t kMaxCallers = 6;
constexpr size_t kMaxSteps = 40;  // of one story
constexpr size_t kMaxStanding = 20;

class TextWriter {
 public:
  TextWriter(const Report& report, bool color, const Put& put)
      : report_(report), color_(color), put_(put) {}

  void Write() {
    for (const ReportFinding& finding : report_.findings) {
      WriteFinding(finding);
      put_(std::exchange(out_, {}));
    }
    WriteStanding();
    WriteSummary();
    put_(out_);
  }

 private:
  std::string Paint(const char* code, const std::string& text) const {
    return color_ && !text.empty() ? std::string("\x1b[") + code + "m" + text + "\x1b[0m" : text;
  }
  std::string Bold(const std::string& text) const { return Paint("1", text); }
  std::string Dim(const std::string& text) const { return Paint("2", text); }

  static const char* SeverityColor(Severity severity) {
    return severity == Severity::kError ? "1;31" : severity == Severity::kWarning ? "1;35" : "1;36";
  }

  void Line(const std::string& text) { out_ += text + "\n"; }

  void WriteFinding(const ReportFinding& finding) {
    std::string heading =
        Paint(SeverityColor(finding.severity), std::string(SeverityName(finding.severity)) + ":") +
        " " + Bold(EscapeTerminal(finding.message)) + " " + Dim("[" + finding.rule + "]");
    if (finding.count > 1) heading += absl::StrFormat(" (× %d)", finding.count);
    Line(heading);
    WriteLocation(finding.site);
    WriteStory(finding.story);
    for (const std::string& row : finding.picture) Line("      " + EscapeTerminal(row));
    if (!finding.fix.empty())
      Line("  " + Bold("How to mend it:") + " " + EscapeTerminal(finding.fix));
    Line("  " + Dim("More: ipctrace explain " + finding.rule));
    Line("");
  }

  void WriteLocation(const ReportSite& site) {
    std::string where = EscapeTerminal(PlaceAndFunction(site.Place()));
    const std::string process = EscapeTerminal(ProcessText(site));
    if (!process.empty()) where += (where.empty() ? "" : ", ") + process;
    if (!where.empty()) Line("  " + where);
    // Who called, as far as it is the user's own code.
    if (site.place >= 0) {
      size_t callers = 0;
      for (size_t i = static_cast<size_t>(site.place) + 1; i < site.stack.size(); ++i) {
        if (!site.stack[i]->user || ++callers > kMaxCallers) continue;
        Line("    " + Dim("called from " + EscapeTerminal(PlaceAndFunction(site.stack[i].get()))));
      }
      WriteSource(*site.Place());
    }
  }

  // The line with a neighbour on either side.
  void WriteSource(const Frame& place) {
    for (const SourceReader::Line& line : source_.Around(place, 1)) {
      const std::string row = absl::StrFormat("%6d | %s", line.number, line.text);
      Line(line.number == place.line ? "  " + Paint("1;32", ">") + Bold(row) : "   " + row);
    }
  }

  // One line a step: when, where, what. Columns are as wide as the widest that is not too wide.
  void WriteStory(const std::vector<ReportStep>& story) {
    if (story.empty()) return;
    Line("  " + Bold("What happened:"));
    struct Row {
      std::string time, place, message;
    };
    std::vector<Row> rows;
    size_t time_width = 0, place_width = 0;
    for (const ReportStep& step : story) {
      Row row;
      if (step.site.pid != 0) row.time = TimeText(step.site.time);
      row.place = EscapeTerminal(PlaceText(step.site.Place()));
      if (const size_t slash = row.place.rfind('/'); slash != std::string::npos)
        row.place.erase(0, slash + 1);
      if (step.site.Place() != nullptr && !step.site.Place()->function.empty()) {
        row.place += " " + EscapeTerminal(ShortFunction(step.site.Place()->function));
      }
      row.message = EscapeTerminal(StepText(step));
      time_width = std::max(time_width, Columns(row.time));
      if (Columns(row.place) <= 40) place_width = std::max(place_width, Columns(row.place));
      rows.push_back(std::move(row));
    }
    for (size_t i = 0; i < rows.size(); ++i) {
      // A story too long to read keeps its beginning and its end.
      if (rows.size() > kMaxSteps && i == kMaxSteps / 2) {
        const size_t left_out = rows.size() - kMaxSteps;
        Line(absl::StrFormat("      … %d more steps …", left_out));
        i += left_out;
      }
      const Row& row = rows[i];
      const size_t time_gap = time_width - Columns(row.time);
      const size_t place_gap = place_width - std::min(place_width, Columns(row.place));
      Line("    " + Dim(std::string(time_gap, ' ') + row.time) + "  " + row.place +
           std::string(place_gap, ' ') + "  " + row.message);
    }
  }

  // What the run was doing when it was ended; a finding says it better where there is one.
  void WriteStanding() {
    const std::string title = StandingTitle(report_);
    if (title.empty()) return;
    Line(Bold(title + ":"));
    for (size_t i = 0; i < report_.standing.size(); ++i) {
      if (i == kMaxStanding) {
        Line(absl::StrFormat("    … and %d more threads", report_.standing.size() - kMaxStanding));
        break;
      }
      const ReportStep& step = report_.standing[i];
      std::string row = "    " + EscapeTerminal(ProcessText(step.site) + " " + step.message);
      const std::string place = PlaceAndFunction(step.site.Place());
      if (!place.empty()) row += EscapeTerminal(", " + place);
      if (!step.site.call.empty()) row += ", since " + TimeText(step.site.time);
      Line(row);
    }
    Line("");
  }

  // Where ipctrace itself failed, that sentence alone is marked as its own.
  void Say(const std::string& text) {
    Line((report_.problems.empty() ? Bold("ipctrace:") + " " : "          ") + text);
  }

  void WriteSummary() {
    const std::string outcome = OutcomeText(report_);
    if (!outcome.empty()) Say(outcome);
    const std::vector<std::string> holes = report_.Holes();
    if (!holes.empty()) {
      Say("not all of the run was seen:");
      for (const std::string& hole : holes) Line("    " + EscapeTerminal(hole));
    }
    Say(VerdictText(report_));
    for (const std::string& problem : report_.problems) {
      Line(Bold("ipctrace:") + " " + EscapeTerminal(problem));
    }
  }

  const Report& report_;
  const bool color_;
  const Put& put_;
  std::string out_;  // not yet put
  SourceReader source_;
};

}  // namespace

void PutText(const Report& report, const WriteOptions& options, const Put& put) {
  TextWriter(report, options.color, put).Write();
}

}  // namespace ipctrace

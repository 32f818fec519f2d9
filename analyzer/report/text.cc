// The report for people: what is wrong, the line, how it came about, the one change that mends it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "analyzer/report/escape.h"
#include "analyzer/report/writers.h"

namespace ipctrace {
namespace {

constexpr int64_t kMaxSourceBytes = 16 << 20;
constexpr size_t kMaxSourceColumns = 120;
constexpr size_t kMaxCallers = 6;
constexpr size_t kMaxSteps = 40;  // of one story
constexpr size_t kMaxStanding = 20;

struct Source {
  std::string file, directory, content;
  std::vector<size_t> lines;  // where they start in `content`
};

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

  static std::string Time(Nanos time) {
    if (time < 10'000'000'000) return absl::StrFormat("%.3f ms", static_cast<double>(time) / 1e6);
    return absl::StrFormat("%.3f s", static_cast<double>(time) / 1e9);
  }

  static std::string ProcessText(const ReportSite& site) {
    if (site.pid == 0) return "";
    std::string text = site.process + "[" + std::to_string(site.pid) + "]";
    if (site.tid != 0 && site.tid != site.pid) text += " thread " + std::to_string(site.tid);
    return text;
  }

  // "prog.c:31 in main".
  static std::string PlaceAndFunction(const Frame* place) {
    std::string text = PlaceText(place);
    if (place != nullptr && !place->function.empty())
      text += " in " + ShortFunction(place->function);
    return text;
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
    if (place.line == 0) return;
    const std::vector<std::string> lines = ReadLines(place, place.line - 1, place.line + 1);
    for (size_t i = 0; i < lines.size(); ++i) {
      const int number = std::max(place.line - 1, 1) + static_cast<int>(i);
      const std::string row = absl::StrFormat("%6d | %s", number, lines[i]);
      Line(number == place.line ? "  " + Paint("1;32", ">") + Bold(row) : "   " + row);
    }
  }

  // Lines `first` to `last` of the file (as many as there are), escaped; empty if the file is not
  // there or does not reach to the line between them.
  std::vector<std::string> ReadLines(const Frame& place, int first, int last) {
    std::vector<std::string> lines;
    const Source& source = SourceOf(place);
    const auto count = static_cast<int>(source.lines.size());
    if (place.line > count) return lines;
    for (int number = std::max(first, 1); number <= std::min(last, count); ++number) {
      const size_t at = source.lines[static_cast<size_t>(number - 1)];
      const size_t end = std::min(source.content.find('\n', at), source.content.size());
      lines.push_back(Tidy(source.content.substr(at, end - at)));
    }
    return lines;
  }

  // The findings come by file: the one that was read last is often the next one, too.
  const Source& SourceOf(const Frame& place) {
    if (source_.file == place.file && source_.directory == place.directory) return source_;
    source_ = {place.file, place.directory, ReadSource(place), {}};
    for (size_t at = 0; at < source_.content.size();) {
      source_.lines.push_back(at);
      at = std::min(source_.content.find('\n', at), source_.content.size()) + 1;
    }
    return source_;
  }

  static std::string Tidy(const std::string& line) {
    std::string spaced;
    for (const char c : line) {
      if (c == '\t') {
        do spaced += ' ';
        while (spaced.size() % 8 != 0);
      } else if (c != '\r') {
        spaced += c;
      }
    }
    std::string text = EscapeTerminal(spaced);
    if (Columns(text) > kMaxSourceColumns) {
      size_t end = 0;
      for (size_t columns = 0; end < text.size(); ++end) {
        if ((static_cast<uint8_t>(text[end]) & 0xc0) != 0x80 && ++columns >= kMaxSourceColumns)
          break;
      }
      text.resize(end);
      text += "…";
    }
    return text;
  }

  static std::string ReadSource(const Frame& place) {
    std::string content;
    for (const bool here : {false, true}) {
      if (here && place.file.starts_with("/")) break;
      const std::string path =
          here || place.file.starts_with("/") ? place.file : place.directory + "/" + place.file;
      const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
      if (fd < 0) continue;
      struct stat status;
      if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= kMaxSourceBytes) {
        content.resize(static_cast<size_t>(status.st_size));
        const ssize_t got = read(fd, content.data(), content.size());
        content.resize(got > 0 ? static_cast<size_t>(got) : 0);
      }
      close(fd);
      if (!content.empty()) break;
    }
    return content;
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
      if (step.site.pid != 0) row.time = Time(step.site.time);
      row.place = EscapeTerminal(PlaceText(step.site.Place()));
      if (const size_t slash = row.place.rfind('/'); slash != std::string::npos)
        row.place.erase(0, slash + 1);
      if (step.site.Place() != nullptr && !step.site.Place()->function.empty()) {
        row.place += " " + EscapeTerminal(ShortFunction(step.site.Place()->function));
      }
      row.message = EscapeTerminal(step.message);
      // A message that does not say who did it gets its process in front.
      const std::string name = "[" + std::to_string(step.site.pid) + "]";
      if (step.site.pid != 0 && row.message.find(name) == std::string::npos) {
        row.message = EscapeTerminal(ProcessText(step.site)) + "  " + row.message;
      }
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
    const bool hung = report_.reason == FinishReason::kDeadlock;
    if (report_.standing.empty() || (hung && report_.Count(Severity::kError) > 0)) return;
    Line(Bold(report_.reason == FinishReason::kTimeout ? "When the time was up:"
              : hung                                   ? "When nothing could go on:"
                                                       : "When it was interrupted:"));
    for (size_t i = 0; i < report_.standing.size(); ++i) {
      if (i == kMaxStanding) {
        Line(absl::StrFormat("    … and %d more threads", report_.standing.size() - kMaxStanding));
        break;
      }
      const ReportStep& step = report_.standing[i];
      std::string row = "    " + EscapeTerminal(ProcessText(step.site) + " " + step.message);
      const std::string place = PlaceAndFunction(step.site.Place());
      if (!place.empty()) row += EscapeTerminal(", " + place);
      if (!step.site.call.empty()) row += ", since " + Time(step.site.time);
      Line(row);
    }
    Line("");
  }

  // Where ipctrace itself failed, that sentence alone is marked as its own.
  void Say(const std::string& text) {
    Line((report_.problems.empty() ? Bold("ipctrace:") + " " : "          ") + text);
  }

  void WriteSummary() {
    const std::string extent =
        absl::StrFormat("%d process%s, %d call%s", report_.processes.size(),
                        report_.processes.size() == 1 ? "" : "es", report_.coverage.records,
                        report_.coverage.records == 1 ? "" : "s");
    const std::vector<std::string> holes = report_.Holes();
    if (report_.reason == FinishReason::kTimeout) {
      Say("the program did not end in the time that --timeout allows, and was ended");
    } else if (report_.reason == FinishReason::kDeadlock) {
      Say("the program hangs: what it waits for can never come");
    } else if (report_.ending.kind == Ending::kSignal) {
      Say("the program was killed by " + SignalName(report_.ending.number));
    }
    if (!holes.empty()) {
      Say("not all of the run was seen:");
      for (const std::string& hole : holes) Line("    " + EscapeTerminal(hole));
    }
    if (!report_.findings.empty()) {
      Say(CountsText(report_));
    } else if (!report_.coverage.heard) {
      Say("nothing can be said about this program");
    } else if (!holes.empty()) {
      Say("no mistakes found in what was seen (" + extent + ")");
    } else {
      Say("no mistakes found (" + extent + ")");
    }
    for (const std::string& problem : report_.problems) {
      Line(Bold("ipctrace:") + " " + EscapeTerminal(problem));
    }
  }

  const Report& report_;
  const bool color_;
  const Put& put_;
  std::string out_;  // not yet put
  Source source_;
};

}  // namespace

void PutText(const Report& report, const WriteOptions& options, const Put& put) {
  TextWriter(report, options.color, put).Write();
}

}  // namespace ipctrace

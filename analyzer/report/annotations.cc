// GitHub's workflow commands: findings stand beside their line in a pull request.
#include "analyzer/report/escape.h"
#include "analyzer/report/words.h"
#include "analyzer/report/writers.h"

namespace ipctrace {
namespace {

// Commands are lines; in their properties ':' and ',' part, and '%' begins an escape.
std::string Escape(std::string_view text, bool property) {
  std::string result;
  for (const char c : EscapeTerminal(text)) {
    if (c == '%') {
      result += "%25";
    } else if (property && c == ':') {
      result += "%3A";
    } else if (property && c == ',') {
      result += "%2C";
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

std::string WriteGithub(const Report& report, const WriteOptions&) {
  std::string text;
  for (const ReportFinding& finding : report.findings) {
    const char* command = finding.severity == Severity::kError     ? "error"
                          : finding.severity == Severity::kWarning ? "warning"
                                                                   : "notice";
    text += std::string("::") + command + " ";
    const Frame* place = finding.site.Place();
    if (place != nullptr && place->line != 0) {
      text += "file=" + Escape(place->file, true) + ",line=" + std::to_string(place->line) + ",";
    }
    text += "title=" + Escape(finding.rule, true) + "::" + Escape(finding.message, false);
    if (!finding.fix.empty()) text += "%0AHow to mend it: " + Escape(finding.fix, false);
    text += "\n";
  }
  for (const std::string& hole : report.Holes()) {
    text += "::warning title=ipctrace::Not all of the run was seen: " + Escape(hole, false) + "\n";
  }
  return text + "::notice title=ipctrace::" + CountsText(report) + "\n";
}

}  // namespace ipctrace

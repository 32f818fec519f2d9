// JUnit's XML, as graders and build servers read it: one test case a finding; errors and warnings
// fail. A run without any is one case that passes; a run with a hole one that was not finished.
#include "absl/strings/str_format.h"
#include "analyzer/report/escape.h"
#include "analyzer/report/words.h"
#include "analyzer/report/writers.h"

namespace ipctrace {
namespace {

std::string Body(const ReportFinding& finding) {
  // Line by line, since escaping keeps a text on one.
  std::string body = EscapeXml(finding.message) + "\n";
  for (const ReportStep& step : finding.story) {
    const std::string place = PlaceText(step.site.Place());
    body += "  " + EscapeXml(place) + (place.empty() ? "" : ": ") + EscapeXml(step.message) + "\n";
  }
  for (const std::string& row : finding.picture) body += "  " + EscapeXml(row) + "\n";
  if (!finding.fix.empty()) body += "How to mend it: " + EscapeXml(finding.fix) + "\n";
  return body;
}

}  // namespace

std::string WriteJunit(const Report& report, const WriteOptions&) {
  std::string cases;
  int failures = 0, tests = 0;
  for (const ReportFinding& finding : report.findings) {
    ++tests;
    const std::string place = PlaceText(finding.site.Place());
    cases += absl::StrFormat("  <testcase classname=\"ipctrace.%s\" name=\"%s%s%s\">\n",
                             EscapeXml(finding.rule), EscapeXml(finding.rule),
                             place.empty() ? "" : " at ", EscapeXml(place));
    if (finding.severity == Severity::kNote) {
      cases += "    <system-out>" + Body(finding) + "</system-out>\n";
    } else {
      ++failures;
      cases += absl::StrFormat("    <failure type=\"%s\" message=\"%s\">%s</failure>\n",
                               std::string(SeverityName(finding.severity)),
                               EscapeXml(finding.message), Body(finding));
    }
    cases += "  </testcase>\n";
  }
  ++tests;
  int errors = 0;
  cases += "  <testcase classname=\"ipctrace\" name=\"the whole run was seen\"";
  std::string problems;
  for (const std::string& hole : report.Holes()) problems += EscapeXml(hole) + "\n";
  for (const std::string& problem : report.problems) problems += EscapeXml(problem) + "\n";
  if (report.reason == FinishReason::kTimeout) problems += "the program was ended by --timeout\n";
  if (problems.empty()) {
    cases += "/>\n";
  } else {
    errors = 1;
    cases += ">\n    <error type=\"incomplete\" message=\"not all of the run was seen\">" +
             problems + "</error>\n  </testcase>\n";
  }
  const std::string name = report.argv.empty() ? "ipctrace" : EscapeXml(report.argv[0]);
  return absl::StrFormat(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuite name=\"%s\" tests=\"%d\" failures=\"%d\" errors=\"%d\" "
      "skipped=\"0\">\n%s</testsuite>\n",
      name, tests, failures, errors, cases);
}

}  // namespace ipctrace

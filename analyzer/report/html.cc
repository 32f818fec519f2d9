// The report as a page for a browser: one file that needs no other and runs no script, so that it
// can be mailed, kept beside a submission and opened anywhere.
#include <cmark.h>
#include <stdlib.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "analyzer/report/escape.h"
#include "analyzer/report/page_style.h"
#include "analyzer/report/source.h"
#include "analyzer/report/words.h"
#include "analyzer/report/writers.h"

namespace ipctrace {
namespace {

constexpr int kSourceAround = 3;
constexpr size_t kMostArgumentColumns = 100;
constexpr int kMostIndent = 12;
// More processes than these are shown when they are asked for.
constexpr size_t kManyProcesses = 60;

// Nothing may be loaded or run, whatever a traced program is called.
constexpr std::string_view kPolicy = "default-src 'none'; style-src 'unsafe-inline'";

std::string Markdown(std::string_view text) {
  char* const html = cmark_markdown_to_html(text.data(), text.size(), CMARK_OPT_DEFAULT);
  std::string result = html == nullptr ? "" : html;
  free(html);
  return result;
}

std::string EndingText(const Ending& ending) {
  switch (ending.kind) {
    case Ending::kStatus:
      return absl::StrCat("exit ", ending.number);
    case Ending::kSignal:
      return "killed by " + SignalName(ending.number);
    case Ending::kAlive:
      return "had not ended";
    case Ending::kUnknown:
      break;
  }
  return "not seen to end";
}

class HtmlWriter {
 public:
  HtmlWriter(const Report& report, const std::vector<RulePage>* pages, const Put& put)
      : report_(report), pages_(pages), put_(put) {}

  void Write() {
    WriteHead();
    Add("<main>\n");
    WriteContents();
    for (size_t i = 0; i < report_.findings.size(); ++i) WriteFinding(i);
    WriteStanding();
    WriteProcesses();
    WritePages();
    Add("</main>\n<footer class=\"dim\"><p>Times are since the run began. The same for a script: "
        "<code>--format=json</code>.</p></footer>\n</body>\n</html>\n");
    Flush();
  }

 private:
  static std::string E(std::string_view text) { return EscapeXml(text); }
  static std::string Short(std::string_view text) {
    return E(Fit(EscapeTerminal(text), kMostArgumentColumns));
  }
  static std::string Code(std::string_view text) {
    return absl::StrCat("<code>", E(text), "</code>");
  }
  void AddPiece(std::string_view text) { out_ += text; }
  void AddPiece(size_t number) { out_ += std::to_string(number); }
  template <typename... Pieces>
  void Add(const Pieces&... pieces) {
    (AddPiece(pieces), ...);
  }
  void Flush() { put_(std::exchange(out_, {})); }

  // The class whose colour tells what is to be thought of the run.
  std::string_view Tone() const {
    for (const Severity severity : {Severity::kError, Severity::kWarning, Severity::kNote}) {
      if (report_.Count(severity) > 0) return SeverityName(severity);
    }
    return report_.complete() ? "good" : "unknown";
  }

  void WriteHead() {
    const std::string command = Short(absl::StrJoin(report_.argv, " "));
    Add("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"",
        kPolicy, "\"/>\n<title>ipctrace: ", command, "</title>\n<style>\n", kPageStyle,
        "</style>\n</head>\n<body>\n<header>\n", "<h1><span class=\"dim\">ipctrace</span> <code>",
        command, "</code></h1>\n<p class=\"verdict ", Tone(), "\">", E(VerdictText(report_)),
        "</p>\n");
    const std::string outcome = OutcomeText(report_);
    if (!outcome.empty()) Add("<p>", Sentence(outcome), "</p>\n");
    if (!report_.findings.empty()) Add("<p class=\"dim\">", ExtentText(report_), "</p>\n");
    WriteList("Not all of the run was seen:", report_.Holes());
    WriteList("ipctrace itself could not do all that it should:", report_.problems);
    Add("</header>\n");
    WriteFilter();
    Flush();
  }

  static std::string Sentence(std::string text) {
    if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
      text[0] = static_cast<char>(text[0] - 'a' + 'A');
    return E(text) + ".";
  }

  void WriteList(std::string_view title, const std::vector<std::string>& phrases) {
    if (phrases.empty()) return;
    Add("<p>", title, "</p>\n<ul>\n");
    for (const std::string& phrase : phrases) Add("<li>", E(phrase), "</li>\n");
    Add("</ul>\n");
  }

  // Boxes to show only some severities, where there are several.
  void WriteFilter() {
    std::vector<std::string_view> present;
    for (const Severity severity : {Severity::kError, Severity::kWarning, Severity::kNote}) {
      if (report_.Count(severity) > 0) present.push_back(SeverityName(severity));
    }
    if (present.size() < 2) return;
    for (const std::string_view name : present) {
      Add("<input type=\"checkbox\" id=\"show-", name,
          "\" checked=\"checked\"/> <label class=\"filter\" for=\"show-", name, "\">", name,
          "s</label>\n");
    }
  }

  void WriteContents() {
    if (report_.findings.size() < 2) return;
    Add("<h2>Findings</h2>\n<div class=\"scroll\"><table>\n");
    for (size_t i = 0; i < report_.findings.size(); ++i) {
      const ReportFinding& finding = report_.findings[i];
      Add("<tr class=\"", SeverityName(finding.severity), "\"><td class=\"badge\">",
          SeverityName(finding.severity), "</td><td><a href=\"#finding-", i + 1, "\">",
          E(finding.message), "</a>", Times(finding), "</td><td>",
          E(PlaceText(finding.site.Place())), "</td></tr>\n");
      Flush();
    }
    Add("</table></div>\n");
  }

  static std::string Times(const ReportFinding& finding) {
    return finding.count > 1 ? absl::StrCat(" <span class=\"dim\">× ", finding.count, "</span>")
                             : "";
  }

  void WriteFinding(size_t index) {
    const ReportFinding& finding = report_.findings[index];
    Add("<article class=\"", SeverityName(finding.severity), "\" id=\"finding-", index + 1,
        "\">\n<h3><span class=\"badge\">", SeverityName(finding.severity), "</span> ",
        E(finding.message), Times(finding), "</h3>\n");
    WriteLocation(finding.site);
    if (!finding.story.empty()) {
      Add("<h3>What happened</h3>\n");
      WriteSteps(finding.story);
    }
    if (!finding.picture.empty()) {
      Add("<pre>");
      for (const std::string& row : finding.picture) Add(E(row), "\n");
      Add("</pre>\n");
    }
    if (!finding.fix.empty())
      Add("<p class=\"mend\"><strong>How to mend it:</strong> ", E(finding.fix), "</p>\n");
    Add("<p class=\"dim\">", About(finding.rule), "</p>\n</article>\n");
    Flush();
  }

  // The rule's name, as a link where its page is on this one.
  std::string About(const std::string& rule) const {
    if (PageOf(rule) == nullptr) return E(rule);
    return absl::StrCat("<a href=\"#about-", E(rule), "\">About ", E(rule), "</a>");
  }

  const RulePage* PageOf(const std::string& rule) const {
    if (pages_ == nullptr) return nullptr;
    const auto it = std::find_if(pages_->begin(), pages_->end(),
                                 [&](const RulePage& page) { return page.id == rule; });
    return it == pages_->end() ? nullptr : &*it;
  }

  void WriteLocation(const ReportSite& site) {
    std::string where = PlaceAndFunction(site.Place());
    const std::string process = ProcessText(site);
    if (!process.empty()) absl::StrAppend(&where, where.empty() ? "" : ", ", process);
    if (!where.empty()) Add("<p class=\"call\">", E(where), "</p>\n");
    if (site.place < 0) return;
    WriteCallers(site);
    const std::vector<SourceReader::Line> lines = source_.Around(*site.Place(), kSourceAround);
    if (lines.empty()) return;
    Add("<pre class=\"source\">");
    for (const SourceReader::Line& line : lines) {
      Add("<span", line.number == site.Place()->line ? " class=\"here\"" : "", ">",
          absl::StrFormat("%6d  ", line.number), E(line.text), "</span>");
    }
    Add("</pre>\n");
  }

  // As far as they are the user's own code: the nearest, and on demand the others.
  void WriteCallers(const ReportSite& site) {
    std::vector<std::string> callers;
    for (size_t i = static_cast<size_t>(site.place) + 1; i < site.stack.size(); ++i) {
      if (site.stack[i]->user) callers.push_back(E(PlaceAndFunction(site.stack[i].get())));
    }
    if (callers.empty()) return;
    const bool more = callers.size() > 1;
    Add(more ? "<details class=\"call\"><summary>" : "<p class=\"call\">", "called from ",
        callers[0], more ? "</summary>\n" : "</p>\n");
    for (size_t i = 1; i < callers.size(); ++i) Add("<div>called from ", callers[i], "</div>\n");
    if (more) Add("</details>\n");
  }

  void WriteSteps(const std::vector<ReportStep>& steps) {
    Add("<div class=\"scroll\"><table>\n");
    for (const ReportStep& step : steps) {
      Add("<tr><td class=\"time\">", step.site.pid != 0 ? TimeText(step.site.time) : "",
          "</td><td>", E(StepText(step)));
      const Frame* place = step.site.Place();
      if (place != nullptr) {
        const std::vector<SourceReader::Line> line = source_.Around(*place, 0);
        Add("<div class=\"dim\">", E(PlaceAndFunction(place)), line.empty() ? "" : ": ",
            line.empty() ? ""
                         : Code(line[0].text.substr(
                               std::min(line[0].text.find_first_not_of(' '), line[0].text.size()))),
            "</div>");
      }
      Add("</td></tr>\n");
    }
    Add("</table></div>\n");
  }

  void WriteStanding() {
    const std::string title = StandingTitle(report_);
    if (title.empty()) return;
    Add("<h2>", title, "</h2>\n");
    WriteSteps(report_.standing);
    Flush();
  }

  // When each process lived, and what was found in it.
  void WriteProcesses() {
    if (report_.processes.empty()) return;
    const bool many = report_.processes.size() > kManyProcesses;
    Nanos end = 1;
    std::map<int32_t, std::vector<size_t>> findings;  // by pid
    for (size_t i = 0; i < report_.findings.size(); ++i) {
      const ReportSite& site = report_.findings[i].site;
      if (site.pid == 0) continue;
      findings[site.pid].push_back(i);
      end = std::max(end, site.time);
      for (const ReportStep& step : report_.findings[i].story) end = std::max(end, step.site.time);
    }
    for (const ReportProcess& process : report_.processes)
      end = std::max({end, process.started, process.ended_at});
    Add("<h2>Processes</h2>\n");
    if (many) Add("<details><summary>", ExtentText(report_), "</summary>\n");
    Add("<table>\n<tr><th>process</th><th>command</th><th>end</th><th class=\"life\">0 to ",
        TimeText(end), "</th></tr>\n");
    std::map<int32_t, int> depths;  // by pid
    for (const ReportProcess& process : report_.processes) {
      const auto parent = depths.find(process.ppid);
      const int depth = parent == depths.end() ? 0 : std::min(parent->second + 1, kMostIndent);
      depths[process.pid] = depth;
      WriteProcess(process, depth, end, findings[process.pid]);
    }
    Add("</table>\n", many ? "</details>\n" : "");
    Flush();
  }

  void WriteProcess(const ReportProcess& process, int depth, Nanos end,
                    const std::vector<size_t>& findings) {
    const auto percent = [&](Nanos time) {
      return absl::StrFormat("%.2f%%",
                             100.0 * static_cast<double>(time) / static_cast<double>(end));
    };
    const Nanos until = process.ended_at == 0 ? end : process.ended_at;
    Add("<tr><td style=\"padding-left:", static_cast<size_t>(depth), "em\">",
        E(absl::StrCat(process.name, "[", process.pid, "]")), "</td><td><code>",
        Short(absl::StrJoin(process.argv, " ")), "</code></td><td>", EndingText(process.ending),
        process.traced ? "" : ", not traced",
        "</td><td class=\"life\"><div class=\"lane\"><span class=\"bar\" title=\"",
        TimeText(process.started), " to ", process.ended_at == 0 ? "the end" : TimeText(until),
        "\" style=\"left:", percent(process.started),
        ";width:", percent(std::max<Nanos>(until - process.started, 0)), "\"></span>");
    for (const size_t i : findings) {
      const ReportFinding& finding = report_.findings[i];
      // A pid may have been given out again.
      if (finding.site.time < process.started || finding.site.time > until) continue;
      Add("<a class=\"mark ", SeverityName(finding.severity), "\" href=\"#finding-", i + 1,
          "\" title=\"", E(finding.message), "\" style=\"left:", percent(finding.site.time),
          "\"></a>");
    }
    Add("</div></td></tr>\n");
    Flush();
  }

  // The pages of the rules that found something.
  void WritePages() {
    std::set<std::string> rules;
    for (const ReportFinding& finding : report_.findings) {
      if (PageOf(finding.rule) != nullptr) rules.insert(finding.rule);
    }
    if (rules.empty()) return;
    Add("<h2>About these mistakes</h2>\n");
    for (const std::string& rule : rules) {
      const RulePage& page = *PageOf(rule);
      // Its title and its sentence are said already.
      const size_t body = page.text.find("\n## ");
      Add("<details><summary><strong>", E(rule), "</strong>: ", E(page.summary),
          "</summary>\n<div class=\"page\" id=\"about-", E(rule), "\">\n",
          Markdown(std::string_view(page.text).substr(std::min(body, page.text.size()))),
          "</div></details>\n");
      Flush();
    }
  }

  const Report& report_;
  const std::vector<RulePage>* const pages_;
  const Put& put_;
  std::string out_;  // not yet put
  SourceReader source_;
};

}  // namespace

void PutHtml(const Report& report, const WriteOptions& options, const Put& put) {
  HtmlWriter(report, options.pages, put).Write();
}

}  // namespace ipctrace

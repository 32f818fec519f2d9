// The forms of a report.
#ifndef IPCTRACE_ANALYZER_REPORT_WRITERS_H_
#define IPCTRACE_ANALYZER_REPORT_WRITERS_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/report/report.h"

namespace ipctrace {

struct WriteOptions {
  bool color = false;  // for a terminal
  const std::vector<RulePage>* pages = nullptr;
};

// Each returns the whole document, ending with a newline, with all text of the traced program
// escaped for where it goes.
std::string WriteText(const Report& report, const WriteOptions& options);    // for people
std::string WriteHtml(const Report& report, const WriteOptions& options);    // for their browsers
std::string WriteJson(const Report& report, const WriteOptions& options);    // version 1
std::string WriteJunit(const Report& report, const WriteOptions& options);   // JUnit XML
std::string WriteSarif(const Report& report, const WriteOptions& options);   // SARIF 2.1.0
std::string WriteGithub(const Report& report, const WriteOptions& options);  // workflow commands

// Takes a document's pieces, in order. Long ones are never whole in memory.
using Put = std::function<void(std::string_view piece)>;
void PutText(const Report& report, const WriteOptions& options, const Put& put);
void PutHtml(const Report& report, const WriteOptions& options, const Put& put);
void PutJson(const Report& report, const WriteOptions& options, const Put& put);

struct Format {
  std::string_view name;
  void (*put)(const Report&, const WriteOptions&, const Put&);
};
// text, html, json, junit, sarif, github.
const std::vector<Format>& Formats();
const Format* FindFormat(std::string_view name);  // null if there is none

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_REPORT_WRITERS_H_

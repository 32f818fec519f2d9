// Lines of the user's source files, for who puts a report into words.
#ifndef IPCTRACE_ANALYZER_REPORT_SOURCE_H_
#define IPCTRACE_ANALYZER_REPORT_SOURCE_H_

#include <string>
#include <vector>

#include "analyzer/symbols/stacks.h"

namespace ipctrace {

// Not thread-safe.
class SourceReader {
 public:
  struct Line {
    int number;
    std::string text;  // harmless for a terminal; tabs are spaces, and what is too wide is cut off
  };
  // The line of `place` with up to `around` neighbours on either side. Empty where the file is not
  // there or does not reach to it.
  std::vector<Line> Around(const Frame& place, int around);

 private:
  struct Source {
    std::string file, directory, content;
    std::vector<size_t> lines;  // where they start in `content`
  };
  const Source& SourceOf(const Frame& place);

  Source source_;
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_REPORT_SOURCE_H_

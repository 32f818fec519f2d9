// The rules' pages (rules/*.md), compiled in.
#ifndef IPCTRACE_ANALYZER_CLI_PAGES_H_
#define IPCTRACE_ANALYZER_CLI_PAGES_H_

#include <string_view>
#include <vector>

#include "analyzer/report/report.h"

namespace ipctrace {

struct EmbeddedPage {
  const char* id;  // null: the end
  const char* text;
};
extern const EmbeddedPage kPages[];

// All pages, by id. A page begins "# rule-id", then "**severity** — one-sentence summary".
const std::vector<RulePage>& Pages();
const RulePage* FindPage(std::string_view id);

// Reads what the first lines say (see above).
RulePage ParsePage(std::string_view id, std::string_view text);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_CLI_PAGES_H_

#include <stdio.h>

#include <algorithm>

#include "analyzer/cli/commands.h"
#include "analyzer/cli/pages.h"
#include "analyzer/model/rule.h"

namespace ipctrace {
namespace {

// What was meant, most likely: the id with the fewest letters to change.
std::string Nearest(std::string_view id) {
  std::string best;
  size_t best_distance = id.size() / 2 + 1;
  for (const RulePage& page : Pages()) {
    std::vector<size_t> row(page.id.size() + 1);
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 0; i < id.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i + 1;
      for (size_t j = 0; j < page.id.size(); ++j) {
        const size_t change = diagonal + (id[i] != page.id[j]);
        diagonal = row[j + 1];
        row[j + 1] = std::min({change, row[j] + 1, row[j + 1] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = page.id;
    }
  }
  return best;
}

int Print(const std::string& text) {
  const bool written =
      fwrite(text.data(), 1, text.size(), stdout) == text.size() && fflush(stdout) == 0;
  return written ? 0 : Fail("cannot write to standard output");
}

}  // namespace

int RulesCommand(const Options&) {
  std::string text;
  for (const RuleInfo& rule : RegisteredRules()) {
    const RulePage* page = FindPage(rule.id);
    std::string line(rule.id);
    line.resize(std::max<size_t>(line.size() + 2, 28), ' ');
    line += SeverityName(rule.severity);
    line.resize(38, ' ');
    text += line + (page != nullptr ? page->summary : "") + "\n";
  }
  return Print(text);
}

int ExplainCommand(const Options& options) {
  if (options.arguments.size() != 1)
    return Fail("explain needs the name of one rule (ipctrace rules lists them)");
  const std::string& id = options.arguments[0];
  const RulePage* page = FindPage(id);
  if (page == nullptr) {
    const std::string nearest = Nearest(id);
    return Fail("there is no rule " + id +
                (nearest.empty() ? " (ipctrace rules lists them)" : "; is it " + nearest + "?"));
  }
  return Print(page->text);
}

}  // namespace ipctrace

#include "analyzer/cli/pages.h"

namespace ipctrace {
namespace {

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

RulePage ParsePage(std::string_view id, std::string_view text) {
  RulePage page;
  page.id = id;
  text = Trim(text);
  page.text = std::string(text) + "\n";
  // The paragraph that begins with two stars.
  const size_t start = text.find("\n**");
  if (start == std::string_view::npos) return page;
  std::string_view paragraph = text.substr(start + 3);
  paragraph = paragraph.substr(0, paragraph.find("\n\n"));
  const size_t end = paragraph.find("**");
  if (end == std::string_view::npos) return page;
  page.severity = paragraph.substr(0, end);
  paragraph.remove_prefix(end + 2);
  const size_t summary = paragraph.find_first_not_of(" -:\n\xe2\x80\x94\x93");  // also the dashes
  if (summary == std::string_view::npos) return page;
  for (const char c : Trim(paragraph.substr(summary))) page.summary += c == '\n' ? ' ' : c;
  return page;
}

const std::vector<RulePage>& Pages() {
  static const auto* const pages = [] {
    auto* all = new std::vector<RulePage>;
    for (const EmbeddedPage* page = kPages; page->id != nullptr; ++page) {
      all->push_back(ParsePage(page->id, page->text));
    }
    return all;
  }();
  return *pages;
}

const RulePage* FindPage(std::string_view id) {
  for (const RulePage& page : Pages()) {
    if (page.id == id) return &page;
  }
  return nullptr;
}

}  // namespace ipctrace

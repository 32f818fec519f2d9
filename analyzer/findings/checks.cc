#include "analyzer/findings/checks.h"

namespace ipctrace {
namespace checks_internal {

bool Next(std::string_view* rest, Glob* glob) {
  while (!rest->empty()) {
    const size_t comma = rest->find(',');
    std::string_view part = rest->substr(0, comma);
    rest->remove_prefix(comma == std::string_view::npos ? rest->size() : comma + 1);
    while (!part.empty() && (part.front() == ' ' || part.front() == '\n')) part.remove_prefix(1);
    while (!part.empty() && (part.back() == ' ' || part.back() == '\n')) part.remove_suffix(1);
    glob->take_away = !part.empty() && part.front() == '-';
    if (glob->take_away) part.remove_prefix(1);
    if (part.empty()) continue;
    glob->pattern = part;
    return true;
  }
  return false;
}

bool Matches(std::string_view pattern, std::string_view text) {
  // The usual walk with one point to come back to: the last star.
  size_t p = 0, t = 0, star = std::string_view::npos, from = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace checks_internal

bool Enabled(std::string_view globs, std::string_view id) {
  checks_internal::Glob glob;
  bool enabled = true, first = true;
  while (checks_internal::Next(&globs, &glob)) {
    if (first) enabled = glob.take_away;
    first = false;
    if (checks_internal::Matches(glob.pattern, id)) enabled = !glob.take_away;
  }
  return enabled;
}

}  // namespace ipctrace

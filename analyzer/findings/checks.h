// Which rules run: the value of --checks.
#ifndef IPCTRACE_ANALYZER_FINDINGS_CHECKS_H_
#define IPCTRACE_ANALYZER_FINDINGS_CHECKS_H_

#include <string>
#include <string_view>

namespace ipctrace {

// Whether `globs` leaves the rule `id` on. As clang-tidy: globs are separated by commas, `*`
// stands for any characters, `-` before one takes away, and the last one that matches decides.
// Where none matches the rule is on if the first glob takes away (or there is none): so
// "-pipe-*" is all but these, and "pipe-*" is these alone.
bool Enabled(std::string_view globs, std::string_view id);

// The first glob that matches none of `ids`, which is most often a slip of the pen; else empty.
template <typename Ids>
std::string FirstIdleGlob(std::string_view globs, const Ids& ids);

namespace checks_internal {
struct Glob {
  std::string_view pattern;
  bool take_away = false;
};
// Cuts the first glob off `rest`; false at the end. Empty ones are passed over.
bool Next(std::string_view* rest, Glob* glob);
bool Matches(std::string_view pattern, std::string_view text);
}  // namespace checks_internal

template <typename Ids>
std::string FirstIdleGlob(std::string_view globs, const Ids& ids) {
  checks_internal::Glob glob;
  while (checks_internal::Next(&globs, &glob)) {
    bool hit = false;
    for (const auto& id : ids) hit |= checks_internal::Matches(glob.pattern, id);
    if (!hit) return std::string(glob.pattern);
  }
  return "";
}

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_FINDINGS_CHECKS_H_

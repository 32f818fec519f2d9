// The findings of a run: merged as they come, sorted and named when it is over.
#ifndef IPCTRACE_ANALYZER_FINDINGS_STORE_H_
#define IPCTRACE_ANALYZER_FINDINGS_STORE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "analyzer/findings/finding.h"
#include "analyzer/model/rule.h"
#include "analyzer/symbols/stacks.h"

namespace ipctrace {

class FindingStore : public FindingSink {
 public:
  // `rules` says who yields to whom. Both outlive the store.
  FindingStore(Stacks* stacks, const std::vector<RuleInfo>* rules);

  void Add(Finding finding) override;
  bool CountRepetition(std::string_view rule, uint32_t stack, uint32_t cause_stack) override;
  bool SamePlace(uint32_t stack_a, uint32_t stack_b) override;
  bool MayBeSamePlace(uint32_t stack_a, uint32_t stack_b) override;
  bool SameStack(uint32_t stack_a, uint32_t stack_b) override;

  struct Resolved {
    Finding finding;
    std::string fingerprint;  // 16 hex digits
  };
  // What is left when rules have yielded: errors first, then by file, line, rule and fingerprint,
  // so that the order does not hang on which process came first. May be called more than once.
  std::vector<Resolved> Resolve() const;

 private:
  // One occurrence of a merged finding.
  struct Occurrence {
    std::vector<uint64_t> subjects;
    Severity severity = Severity::kNote;
    int64_t count;
  };
  struct Merged {
    std::vector<Finding> first;  // the first few in full: one may yield and another not
    std::vector<Occurrence> occurrences;
    int64_t repetitions = 0;  // counted without their subjects
    std::string fingerprint;
    std::string file;  // of the location
    int line = 0;
  };

  // Identifies a rule, a location and a cause from run to run: no pids, times or addresses.
  std::string Fingerprint(std::string_view rule, const Site& site, uint32_t cause_stack) const;

  Stacks* stacks_;
  const std::vector<RuleInfo>* rules_;
  std::vector<Merged> merged_;  // in order of their first occurrence
  absl::flat_hash_map<std::string, size_t> by_fingerprint_;
  // rule -> (stack, cause stack) -> index in merged_. Rules are few, and a rule asks by its own id.
  absl::flat_hash_map<std::string, absl::flat_hash_map<uint64_t, size_t>> by_stacks_;
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_FINDINGS_STORE_H_

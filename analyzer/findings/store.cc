#include "analyzer/findings/store.h"

#include <algorithm>
#include <cstdio>
#include <tuple>

namespace ipctrace {
namespace {

constexpr size_t kFullFindings = 8;       // kept of each merged finding
constexpr size_t kMaxOccurrences = 4096;  // past this, subjects are no longer noted

uint64_t StackPair(uint32_t stack, uint32_t cause) { return uint64_t{stack} << 32 | cause; }

std::string_view BaseName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// FNV-1a, with each piece ended by a zero so that pieces do not run together.
class Hash {
 public:
  void Add(std::string_view text) {
    for (const char c : text) Byte(static_cast<uint8_t>(c));
    Byte(0);
  }
  std::string Hex() const {
    char text[17];
    snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(value_));
    return text;
  }

 private:
  void Byte(uint8_t b) { value_ = (value_ ^ b) * 0x100000001b3; }
  uint64_t value_ = 0xcbf29ce484222325;
};

void AddPlace(const Frame* place, Hash* hash) {
  if (place == nullptr) {
    hash->Add("?");
  } else if (place->line != 0) {
    // Not the function: what an optimiser has inlined may have lost its full name.
    hash->Add(BaseName(place->file));
    hash->Add(std::to_string(place->line));
  } else {
    hash->Add(place->function);
    hash->Add(BaseName(place->module));
    hash->Add(std::to_string(place->offset));
  }
}

}  // namespace

FindingStore::FindingStore(Stacks* stacks, const std::vector<RuleInfo>* rules)
    : stacks_(stacks), rules_(rules) {}

std::string FindingStore::Fingerprint(std::string_view rule, const Site& site,
                                      uint32_t cause_stack) const {
  Hash hash;
  hash.Add(rule);
  const Frame* const place = stacks_->Place(site.stack);
  AddPlace(place, &hash);
  // Without a stack the call is all that tells two findings of a rule apart.
  if (place == nullptr) hash.Add(NameOf(site.call));
  if (cause_stack != 0) AddPlace(stacks_->Place(cause_stack), &hash);
  return hash.Hex();
}

void FindingStore::Add(Finding finding) {
  const uint64_t pair = StackPair(finding.site.stack, finding.cause_stack);
  std::string fingerprint = Fingerprint(finding.rule, finding.site, finding.cause_stack);
  const auto [it, is_new] = by_fingerprint_.try_emplace(fingerprint, merged_.size());
  if (is_new) {
    Merged& merged = merged_.emplace_back();
    merged.fingerprint = std::move(fingerprint);
    if (const Frame* place = stacks_->Place(finding.site.stack)) {
      merged.file = place->line != 0 ? place->file : place->module;
      merged.line = place->line;
    }
  }
  by_stacks_[std::string(finding.rule)].try_emplace(pair, it->second);
  Merged& merged = merged_[it->second];
  if (merged.occurrences.size() < kMaxOccurrences) {
    merged.occurrences.push_back({finding.subjects, finding.severity, finding.count});
  } else {
    merged.repetitions += finding.count;
  }
  if (merged.first.size() < kFullFindings) merged.first.push_back(std::move(finding));
}

bool FindingStore::CountRepetition(std::string_view rule, uint32_t stack, uint32_t cause_stack) {
  const auto of_rule = by_stacks_.find(std::string(rule));
  if (of_rule == by_stacks_.end()) return false;
  const auto it = of_rule->second.find(StackPair(stack, cause_stack));
  if (it == of_rule->second.end()) return false;
  ++merged_[it->second].repetitions;
  return true;
}

bool FindingStore::SamePlace(uint32_t stack_a, uint32_t stack_b) {
  return stacks_->SamePlace(stack_a, stack_b);
}

bool FindingStore::MayBeSamePlace(uint32_t stack_a, uint32_t stack_b) {
  return stacks_->MayBeSamePlace(stack_a, stack_b);
}

bool FindingStore::SameStack(uint32_t stack_a, uint32_t stack_b) {
  return stacks_->SameStack(stack_a, stack_b);
}

std::vector<FindingStore::Resolved> FindingStore::Resolve() const {
  absl::flat_hash_map<std::string, const RuleInfo*> info;
  for (const RuleInfo& rule : *rules_) info.emplace(std::string(rule.id), &rule);
  // By rule; and of those, what more than a note is about. A mistake does not yield to advice.
  absl::flat_hash_map<std::string, absl::flat_hash_set<uint64_t>> all, loud;
  for (const Merged& merged : merged_) {
    const std::string rule(merged.first.front().rule);
    for (const Occurrence& o : merged.occurrences) {
      all[rule].insert(o.subjects.begin(), o.subjects.end());
      if (o.severity > Severity::kNote) loud[rule].insert(o.subjects.begin(), o.subjects.end());
    }
  }
  const auto yields = [&](std::string_view rule, Severity severity,
                          const std::vector<uint64_t>& own) {
    const auto& subjects = severity > Severity::kNote ? loud : all;
    const auto it = info.find(std::string(rule));
    if (it == info.end()) return false;
    for (const std::string_view stronger : it->second->yields_to) {
      const auto theirs = subjects.find(std::string(stronger));
      if (theirs == subjects.end()) continue;
      for (const uint64_t subject : own) {
        if (theirs->second.contains(subject)) return true;
      }
    }
    return false;
  };

  std::vector<std::pair<const Merged*, Resolved>> left;
  for (const Merged& merged : merged_) {
    const std::string_view rule = merged.first.front().rule;
    int64_t count = 0;
    for (const Occurrence& o : merged.occurrences)
      count += yields(rule, o.severity, o.subjects) ? 0 : o.count;
    if (count == 0) continue;
    // The most severe of those that stay speaks; of equals, the first.
    const Finding* speaker = nullptr;
    for (const Finding& finding : merged.first) {
      if (yields(rule, finding.severity, finding.subjects)) continue;
      if (speaker == nullptr || finding.severity > speaker->severity) speaker = &finding;
    }
    if (speaker == nullptr) speaker = &merged.first.front();
    left.push_back({&merged, {*speaker, merged.fingerprint}});
    left.back().second.finding.count = count + merged.repetitions;
  }
  std::sort(left.begin(), left.end(), [](const auto& a, const auto& b) {
    const Finding &x = a.second.finding, &y = b.second.finding;
    if (x.severity != y.severity) return x.severity > y.severity;
    return std::tie(a.first->file, a.first->line, x.rule, a.first->fingerprint) <
           std::tie(b.first->file, b.first->line, y.rule, b.first->fingerprint);
  });
  std::vector<Resolved> resolved;
  for (auto& [merged, result] : left) resolved.push_back(std::move(result));
  return resolved;
}

}  // namespace ipctrace

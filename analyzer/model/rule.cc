#include "analyzer/model/rule.h"

#include <algorithm>
#include <utility>

namespace ipctrace {
namespace {

std::vector<RuleInfo>& Registry() {
  static auto* registry = new std::vector<RuleInfo>;
  return *registry;
}

}  // namespace

bool RegisterRule(RuleInfo info) {
  auto& registry = Registry();
  auto by_id = [](const RuleInfo& a, const RuleInfo& b) { return a.id < b.id; };
  registry.insert(std::upper_bound(registry.begin(), registry.end(), info, by_id), info);
  return true;
}

const std::vector<RuleInfo>& RegisteredRules() { return Registry(); }

void Rule::Report(Finding finding) { Report(severity_, std::move(finding)); }

void Rule::Report(Severity severity, Finding finding) {
  finding.rule = id_;
  finding.severity = severity;
  sink_->Add(std::move(finding));
}

RuleSet::RuleSet(const Model* model, FindingSink* sink,
                 const std::function<bool(std::string_view)>& enabled)
    : watching_(256) {
  for (const RuleInfo& info : RegisteredRules()) {
    if (!enabled(info.id)) continue;
    std::unique_ptr<Rule> rule = info.make();
    rule->model_ = model;
    rule->sink_ = sink;
    rule->id_ = info.id;
    rule->severity_ = info.severity;
    for (size_t op = 0; op < watching_.size(); ++op) {
      if (rule->Watches(static_cast<Op>(op))) watching_[op].push_back(rule.get());
    }
    rules_.push_back(std::move(rule));
  }
}

void RuleSet::Add(std::unique_ptr<Rule> rule, const Model* model) {
  rule->model_ = model;
  for (size_t op = 0; op < watching_.size(); ++op) {
    if (rule->Watches(static_cast<Op>(op))) watching_[op].push_back(rule.get());
  }
  rules_.push_back(std::move(rule));
}

}  // namespace ipctrace

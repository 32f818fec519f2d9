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
                 const std::function<bool(std::string_view)>& enabled) {
  for (const RuleInfo& info : RegisteredRules()) {
    if (!enabled(info.id)) continue;
    std::unique_ptr<Rule> rule = info.make();
    rule->model_ = model;
    rule->sink_ = sink;
    rule->id_ = info.id;
    rule->severity_ = info.severity;
    Add(std::move(rule), info.hooks);
  }
}

void RuleSet::Add(std::unique_ptr<Rule> rule, const Model* model) {
  rule->model_ = model;
  Add(std::move(rule), Hooks());
}

void RuleSet::Add(std::unique_ptr<Rule> rule, const Hooks& hooks) {
  for (size_t i = 0; i < of_.size(); ++i) {
    const auto op = static_cast<Op>(i);
    if (!rule->Watches(op)) continue;
    if (hooks.enter && rule->WatchesEntry(op)) of_[i].entered.push_back(rule.get());
    if (!hooks.leave) continue;
    of_[i].failed.push_back(rule.get());
    if (rule->WatchesSuccess(op)) of_[i].succeeded.push_back(rule.get());
  }
  if (hooks.open) opening_.push_back(rule.get());
  if (hooks.close) closing_.push_back(rule.get());
  rules_.push_back(std::move(rule));
}

}  // namespace ipctrace

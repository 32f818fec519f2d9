#include "analyzer/analysis.h"

namespace ipctrace {

Analysis::Analysis(Stacks* stacks, FindingSink* sink,
                   const std::function<bool(std::string_view)>& enabled)
    : model_(std::make_unique<Model>(stacks)),
      rules_(std::make_unique<RuleSet>(model_.get(), sink, enabled)) {
  model_->SetRules(rules_.get());
}

Analysis::~Analysis() = default;

void Analysis::Take(const Event& event) { model_->Take(event); }

}  // namespace ipctrace

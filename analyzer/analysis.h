// From events to findings: the model and the rules over it, in one object for the live run and
// for a kept trace alike. Not thread-safe.
#ifndef IPCTRACE_ANALYZER_ANALYSIS_H_
#define IPCTRACE_ANALYZER_ANALYSIS_H_

#include <functional>
#include <memory>
#include <string_view>

#include "analyzer/events/event.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/symbols/stacks.h"

namespace ipctrace {

class Analysis : public EventSink {
 public:
  // `stacks` and `sink` outlive the analysis. `enabled` is asked once per rule id.
  Analysis(Stacks* stacks, FindingSink* sink,
           const std::function<bool(std::string_view)>& enabled);
  ~Analysis() override;

  void Take(const Event& event) override;
  const Model& model() const { return *model_; }

 private:
  std::unique_ptr<Model> model_;
  std::unique_ptr<RuleSet> rules_;
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_ANALYSIS_H_

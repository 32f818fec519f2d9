#include "analyzer/diagram/timeline.h"

#include "absl/strings/match.h"
#include "analyzer/diagram/recorder.h"
#include "analyzer/events/log.h"

namespace ipctrace::diagram {
namespace {

class NoSink : public FindingSink {
 public:
  void Add(Finding) override {}
  bool CountRepetition(std::string_view, uint32_t, uint32_t) override { return false; }
  bool SamePlace(uint32_t a, uint32_t b) override { return a == b; }
};

class Feed : public EventSink {
 public:
  explicit Feed(Model* model) : model_(model) {}
  void Take(const Event& event) override { model_->Take(event); }

 private:
  Model* model_;
};

}  // namespace

absl::Status ReadDiagram(const std::string& trace, const Cut& cut, Diagram* diagram,
                         std::vector<protocol::Coverage>* coverage) {
  Model model(nullptr);
  NoSink sink;
  RuleSet rules(&model, &sink, [](std::string_view id) {
    return absl::StartsWith({id.data(), id.size()}, "protocol-");
  });
  auto owned = std::make_unique<Recorder>(cut);
  Recorder* const recorder = owned.get();
  rules.Add(std::move(owned), &model);
  model.SetRules(&rules);
  const auto tracker = protocol::Tracker::Of(&model);
  tracker->SetListener(recorder);
  Feed feed(&model);
  const absl::Status status = ReadEventLog(trace, &feed);
  if (!status.ok() && status.code() != absl::StatusCode::kDataLoss) return status;
  recorder->Draw(diagram);
  if (coverage != nullptr) *coverage = tracker->coverage();
  tracker->SetListener(nullptr);
  return status;
}

}  // namespace ipctrace::diagram

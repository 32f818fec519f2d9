// What a rule is: a statement about the model, in one source file of its own under rules/.
//
//   class PipeWrongEnd : public Rule {
//     void DidLeave(const Act& act) override { ... Report(...); }
//   };
//   REGISTER_RULE(PipeWrongEnd, "pipe-wrong-end", Severity::kError, {});
//
// The model calls these functions in the order in which things happened. All run on one thread;
// references are valid during the call only (keep shared_ptrs of entities, or ids). A rule never
// changes the model.
#ifndef IPCTRACE_ANALYZER_MODEL_RULE_H_
#define IPCTRACE_ANALYZER_MODEL_RULE_H_

#include <array>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

#include "analyzer/findings/finding.h"
#include "analyzer/model/entities.h"

namespace ipctrace {

class Model;

// What would end a wait.
enum class Goal : uint8_t {
  kEnd,        // the end of a child or a thread
  kData,       // bytes, or end-of-file
  kSpace,      // room in a full queue; for a file: its lock
  kAccepted,   // that somebody accepts the connection (`object` is the listener)
  kClient,     // that somebody connects (`object` is the listener)
  kOtherSide,  // that somebody opens the FIFO's other side (it is not open yet: no `object`)
  kNever,      // a mutex, held at fork by a thread that the forked process does not have
  kWakeUp,     // at a mutex, condition variable or semaphore: whoever has its memory
};

// One thing that a thread of a deadlock waits for. A thread in poll has several.
struct Wait {
  const Thread* thread = nullptr;
  const Act* act = nullptr;  // the call it waits in; for kWakeUp, which has no record, of op kNone
  std::shared_ptr<const Act> own_act;  // that one
  Goal goal = Goal::kEnd;
  std::shared_ptr<Object> object;       // pipe, socket, file ... it waits for, if any
  const Thread* joins = nullptr;        // pthread_join: the thread whose end it waits for
  std::vector<const Process*> holders;  // processes of the set that hold what could wake it
  std::vector<std::shared_ptr<Descriptor>> copies;  // the ends by which they could
};

// A set of threads that can never go on: each waits for an act of others in the set only
// (analyzer/model/waits.h has the proof). Found while the program hangs. It may hold several cycles
// that have nothing to do with each other.
struct Deadlock {
  std::vector<Wait> waits;
  Nanos since = 0;  // when the last of them began to wait
};

// Where findings go. Thread-hostile, as the model.
class FindingSink {
 public:
  virtual ~FindingSink() = default;
  // Takes the finding, or adds it to the count of an earlier one with the same rule, location and
  // cause. Cheap for a repetition.
  virtual void Add(Finding finding) = 0;
  // True when a finding with this rule and these stacks is there already; it is then counted.
  virtual bool CountRepetition(std::string_view rule, uint32_t stack, uint32_t cause_stack) = 0;
  // Whether the stacks were taken at the same place of the program: the same code address in the
  // same module, for the innermost frame of the user's own code.
  virtual bool SamePlace(uint32_t stack_a, uint32_t stack_b) = 0;
  // Whether they may have been: true also where that cannot be told, for want of debug information.
  virtual bool MayBeSamePlace(uint32_t stack_a, uint32_t stack_b) {
    return SamePlace(stack_a, stack_b);
  }
  // Whether they are the same calls at the same depth of the stack, in one process or in a process
  // and its fork.
  virtual bool SameStack(uint32_t stack_a, uint32_t stack_b) { return SamePlace(stack_a, stack_b); }
};

class Rule {
 public:
  virtual ~Rule() = default;

  // Whether DidEnter and DidLeave are to be called for this kind of act; asked once per kind.
  // Name the few that matter: most acts of a run are reads and writes.
  virtual bool Watches(Op op) const { return true; }
  // Of these, whether DidEnter is to be called.
  virtual bool WatchesEntry(Op op) const { return true; }
  // And whether DidLeave is to be called where the call did not fail, too.
  virtual bool WatchesSuccess(Op op) const { return true; }

  // A call was entered. What it releases is still there (WillClose comes next).
  virtual void DidEnter(const Act& act) {}
  // A call returned and the model shows its effect. `act.descriptor` is what fd named at entry.
  virtual void DidLeave(const Act& act) {}
  // A descriptor came into being, by any Birth. For kInherited use DidFork.
  virtual void DidOpen(const std::shared_ptr<Descriptor>& descriptor, const Act& act) {}
  // A descriptor is about to go, by close, dup2, exec or close_range; not at a process's end.
  // `descriptor.death` is kAlive yet; `how` is what it will be.
  virtual void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how, const Act& act) {
  }
  // A child process began; its table is the parent's copy.
  virtual void DidFork(const Process& parent, const Process& child, const Act* act) {}
  // The process runs a new program; close-on-exec descriptors are gone, the rest have
  // survived_exec. `act` is the exec call; null where it was not seen.
  virtual void DidExec(const Process& process, const Act* act) {}
  // The process ends: its table is still full, `end` and `status` are set as far as known.
  virtual void WillEnd(const Process& process) {}
  // `parent` learned of the end of `child` by wait.
  virtual void DidReap(const Process& parent, const Process& child, const Act& act) {}
  virtual void DidDeadlock(const Deadlock& deadlock) {}
  // The run is over (or is ended by ipctrace: then processes and threads may still be alive).
  virtual void DidFinish() {}

  const Model& model() const { return *model_; }
  std::string_view id() const { return id_; }
  Severity severity() const { return severity_; }

 protected:
  // Fills rule and (unless set to a lower one) severity, and reports.
  void Report(Finding finding);
  // The same with a severity other than the catalogue's usual one for the rule.
  void Report(Severity severity, Finding finding);
  bool CountRepetition(uint32_t stack, uint32_t cause_stack = 0) {
    return sink_->CountRepetition(id_, stack, cause_stack);
  }
  bool SamePlace(uint32_t stack_a, uint32_t stack_b) { return sink_->SamePlace(stack_a, stack_b); }
  bool MayBeSamePlace(uint32_t stack_a, uint32_t stack_b) {
    return sink_->MayBeSamePlace(stack_a, stack_b);
  }
  bool SameStack(uint32_t stack_a, uint32_t stack_b) { return sink_->SameStack(stack_a, stack_b); }

 private:
  friend class RuleSet;
  const Model* model_ = nullptr;
  FindingSink* sink_ = nullptr;
  std::string_view id_;
  Severity severity_ = Severity::kError;
};

// Which of Rule's functions a rule has of its own. What it has not is not called: a run may have a
// thousand million calls, and there are some forty rules.
struct Hooks {
  bool enter = true, leave = true, open = true, close = true;
};

template <typename Class>
constexpr Hooks HooksOf() {
  return {!std::is_same_v<decltype(&Class::DidEnter), decltype(&Rule::DidEnter)>,
          !std::is_same_v<decltype(&Class::DidLeave), decltype(&Rule::DidLeave)>,
          !std::is_same_v<decltype(&Class::DidOpen), decltype(&Rule::DidOpen)>,
          !std::is_same_v<decltype(&Class::WillClose), decltype(&Rule::WillClose)>};
}

struct RuleInfo {
  std::string_view id;
  Severity severity;  // the catalogue's
  // A finding is dropped where one of these rules has one that shares a subject with it.
  std::vector<std::string_view> yields_to;
  std::function<std::unique_ptr<Rule>()> make;
  Hooks hooks;
};

// All rules linked in, ordered by id.
const std::vector<RuleInfo>& RegisteredRules();
bool RegisterRule(RuleInfo info);

#define REGISTER_RULE(Class, id, severity, ...)                                         \
  static const bool registered_##Class = ::ipctrace::RegisterRule(::ipctrace::RuleInfo{ \
      id, severity, std::vector<std::string_view> __VA_ARGS__,                          \
      [] { return std::unique_ptr<::ipctrace::Rule>(new Class); }, ::ipctrace::HooksOf<Class>()})

// The rules of one run, and how the model reaches them.
class RuleSet {
 public:
  // `enabled` is asked once per rule id.
  RuleSet(const Model* model, FindingSink* sink,
          const std::function<bool(std::string_view)>& enabled);
  // One that is not registered: it watches and reports nothing.
  void Add(std::unique_ptr<Rule> rule, const Model* model);
  template <typename F>
  void Each(F f) {
    for (auto& rule : rules_) f(*rule);
  }
  // Those that are to be told of this act.
  void DidEnter(const Act& act) {
    for (Rule* rule : of_[static_cast<size_t>(act.op)].entered) rule->DidEnter(act);
  }
  void DidLeave(const Act& act) {
    const Watchers& watchers = of_[static_cast<size_t>(act.op)];
    for (Rule* rule : act.failed() ? watchers.failed : watchers.succeeded) rule->DidLeave(act);
  }
  void DidOpen(const std::shared_ptr<Descriptor>& descriptor, const Act& act) {
    for (Rule* rule : opening_) rule->DidOpen(descriptor, act);
  }
  void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how, const Act& act) {
    for (Rule* rule : closing_) rule->WillClose(descriptor, how, act);
  }

 private:
  struct Watchers {
    std::vector<Rule*> entered, succeeded, failed;
  };
  void Add(std::unique_ptr<Rule> rule, const Hooks& hooks);

  std::vector<std::unique_ptr<Rule>> rules_;
  std::array<Watchers, 256> of_;  // by Op
  std::vector<Rule*> opening_, closing_;
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_MODEL_RULE_H_

// One conversation under one protocol: takes messages and closes in the order in which they
// happened, and says which is the first that the protocol does not allow.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_MACHINE_H_
#define IPCTRACE_ANALYZER_PROTOCOL_MACHINE_H_

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analyzer/protocol/framer.h"
#include "analyzer/protocol/protocol.h"

namespace ipctrace::protocol {

// How often each state was entered and each transition taken, over all conversations.
struct Coverage {
  explicit Coverage(const Protocol& protocol);
  std::vector<uint64_t> states;
  std::vector<std::vector<uint64_t>> transitions;
};

enum class Fault : uint8_t {
  kNone,
  kNotAllowed,   // no transition of this state takes what came
  kGuard,        // one would, but for its guard
  kTimer,        // the time was up
  kFailedState,  // a transition led to a failed state
};

struct Verdict {
  Fault fault = Fault::kNone;
  std::string state;    // in which it came
  std::string came;     // "server sent reply \"…\"", "client closed"
  std::string allowed;  // "client sends request, or client closes"
  std::string why;      // the guard and its values; the failed state's words; may be empty
  int message = -1;     // which kind of message came, where that is known
  bool ok() const { return fault == Fault::kNone; }
};

class Machine {
 public:
  // `coverage` may be null; else it outlives the machine.
  Machine(std::shared_ptr<const Protocol> protocol, Nanos now, Coverage* coverage);

  // After a verdict that is not ok nothing more may be asked.
  Verdict Sends(int role, const Frame& frame, Nanos time);
  Verdict Closes(int role, Trigger how, Nanos time);
  // Lets the timers go off that end before `time`.
  Verdict Tick(Nanos time);

  bool Final() const;
  const State& state() const { return protocol_->states[state_]; }
  int last_message() const { return last_message_; }  // kind of the last one that was taken
  // What may happen in this state, in words.
  std::string Allowed() const;
  // What may be sent here, by whom: for a conversation that ended too early.
  std::string Owed() const;
  // Whether this role may send something in this state.
  bool MaySend(int role) const;
  // Those that were remembered and not answered.
  size_t Outstanding() const;

 private:
  using Bindings = std::map<std::string, Value>;
  struct Remembered {
    Bindings bindings;
    Nanos time;
  };
  // What names mean while a transition is tried.
  struct Scope {
    int message = -1;                   // that came
    const Bindings* came = nullptr;     // what it binds
    int answered = -1;                  // the kind of message it answers
    const Bindings* request = nullptr;  // what that one bound
  };
  bool Match(const Message& message, const Frame& frame, Bindings* bindings) const;
  bool Holds(const Guard& guard, const Scope& scope) const;
  Value Evaluate(const Expression& expression, const Scope& scope) const;
  std::string Explain(const Guard& guard, const Scope& scope) const;
  void Names(const Expression& expression, const Scope& scope, std::vector<std::string>* seen,
             std::string* text) const;
  // Whether it leads to a failed state.
  bool Fails(const Transition& transition) const;
  // Takes the transition. `otherwise` is the verdict where it leads to a failed state.
  Verdict Enter(const Transition& transition, Nanos time, Verdict otherwise);
  Verdict Judged(Fault fault, std::string came) const;

  const std::shared_ptr<const Protocol> protocol_;
  Coverage* coverage_;
  size_t state_ = 0;
  Nanos entered_;
  int last_message_ = -1;
  bool abandoned_ = false;  // a side has closed though it was its turn
  Bindings variables_;
  std::vector<Bindings> last_;                      // by message
  std::vector<std::deque<Remembered>> remembered_;  // by message
};

// The first bytes of a message, escaped, in quotes, with its length where it is cut.
std::string Preview(std::string_view bytes, size_t most = 48);

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_MACHINE_H_

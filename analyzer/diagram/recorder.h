// Collects what a diagram shows, while the model replays the run; puts it in order at the end.
#ifndef IPCTRACE_ANALYZER_DIAGRAM_RECORDER_H_
#define IPCTRACE_ANALYZER_DIAGRAM_RECORDER_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "analyzer/diagram/timeline.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/protocol/tracker.h"

namespace ipctrace::diagram {

class Recorder : public Rule, public protocol::Listener {
 public:
  explicit Recorder(const Cut& cut) : cut_(cut) {}

  // What happens (recorder.cc).
  bool Watches(Op op) const override { return op != Op::kModules && op != Op::kProbe; }
  void DidEnter(const Act& act) override;
  void DidLeave(const Act& act) override;
  void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how, const Act& act) override;
  void DidFork(const Process& parent, const Process& child, const Act* act) override;
  void DidExec(const Process& process, const Act* act) override;
  void WillEnd(const Process& process) override;
  void DidFinish() override;
  void DidSay(uint64_t object, uint64_t begin, uint64_t end, const std::string& message,
              const std::string& state) override;
  void DidComplain(uint64_t object, uint64_t offset, const protocol::Complaint& complaint) override;

  // The diagram of all that happened (layout.cc). Once, after the end.
  void Draw(Diagram* diagram);

 private:
  struct Entry {
    Item item;
    uint32_t process = 0, thread = 0, to_process = 0, to_thread = 0;
    std::string about;               // the connection or pipe; empty: none
    const Process* child = nullptr;  // of a fork: its id may become known later
    // A connection's other side, where that is who it comes from or goes to.
    uint64_t from_peer_of = 0, to_peer_of = 0;
  };
  struct Sent {
    size_t item;
    uint64_t object, begin, end;
    bool pipe;
  };
  struct Taken {
    uint64_t begin, end;
    uint32_t process, thread;
    Nanos time;
  };
  struct Said {
    uint64_t begin, end;
    std::string message, state;
  };
  struct Complained {
    uint64_t object, offset;
    std::string text;
    Site site;
    bool incomplete;
  };

  void DidAccept(const Act& act);
  void DidWrite(const Act& act);
  void DidRead(const Act& act);
  void Wrote(const Act& act, const std::shared_ptr<Object>& object, uint64_t size,
             std::string text);
  void ExitFlushes(const Act& act);
  void Blocked(const Act& act, Nanos until);
  bool Resets(const std::shared_ptr<Object>& object, const Process* only, const Descriptor* last,
              std::string* why);
  Entry& Put(const Act& act, Item item, const std::shared_ptr<Object>& about);
  Entry& PutOn(uint32_t process, uint32_t thread, Item item, const std::shared_ptr<Object>& about);
  Entry& Event(const Act& act, std::string text, std::string sort,
               const std::shared_ptr<Object>& about, Nanos time = -1);
  void Meet(const std::shared_ptr<Object>& socket);

  void JoinBothSides();
  void AddViolations();
  bool Kept(const Entry& entry) const;

  const Cut cut_;
  std::vector<Entry> items_;
  std::vector<Sent> sent_;
  std::map<uint64_t, std::vector<Taken>> taken_;  // by the object that sent
  std::map<uint64_t, std::vector<Said>> said_;
  std::map<uint64_t, uint64_t> written_, read_;  // bytes
  std::map<uint64_t, uint64_t> peer_;            // sockets
  std::map<uint64_t, uint32_t> user_;            // of a socket: the process that used it last
  std::map<uint64_t, uint32_t> readers_;         // of what an object sent: the last process
  std::map<uint64_t, std::string> connection_of_;
  std::set<uint64_t> aborting_;  // descriptions that SO_LINGER makes reset
  std::map<std::pair<uint32_t, uint64_t>, std::string> pending_;  // output of streams, as last seen
  std::vector<Complained> complaints_;
};

}  // namespace ipctrace::diagram

#endif  // IPCTRACE_ANALYZER_DIAGRAM_RECORDER_H_

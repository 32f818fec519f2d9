#include "analyzer/protocol/casting.h"

#include <algorithm>
#include <cstdlib>

namespace ipctrace::protocol {
namespace {

int PortOf(const std::string& address) {
  const size_t colon = address.rfind(':');
  return colon == std::string::npos ? 0 : atoi(address.c_str() + colon + 1);
}

class Casting {
 public:
  Casting(const Model& model, const Protocol& protocol, const Sides& sides)
      : model_(model), protocol_(protocol), sides_(sides), object_(*sides.objects[0]) {}

  int RoleOfFirst() const {
    if (!PortFits()) return -1;
    // What came into the run through a pipe is nobody's side of a conversation.
    if (object_.kind == ObjectKind::kPipe && object_.born.process == 0) return -1;
    const bool fits[2] = {Fits(0), Fits(1)};
    if (!fits[0] && !fits[1]) return -1;
    if (fits[0] && fits[1]) return SecondSpeaksFirst() ? 1 : 0;
    return fits[0] ? 0 : 1;
  }

 private:
  bool IsOnePipe() const { return object_.IsPipe() && sides_.flows[1] == nullptr; }
  bool IsConnection() const {
    if (object_.IsPipe()) return false;
    const Object* const other = sides_.objects[1];
    if (object_.socket.accepted || (other != nullptr && other->socket.accepted)) return true;
    // A peer outside the run; but who has connected to whom is not known of what was inherited.
    return other == nullptr && object_.born.process != 0;
  }

  bool PortFits() const {
    const int port = std::max(protocol_.roles[0].port, protocol_.roles[1].port);
    if (port == 0) return true;
    return object_.kind == ObjectKind::kSocket &&
           PortOf(object_.socket.accepted ? object_.socket.local : object_.socket.peer) == port;
  }

  // Whether side 0 can play this role, and side 1 the other.
  bool Fits(int role) const {
    for (int side = 0; side < 2; ++side) {
      const int plays = side == 0 ? role : 1 - role;
      if (!Plays(side, protocol_.roles[static_cast<size_t>(plays)])) return false;
      if (side == 1 && IsOnePipe() && Sends(plays)) return false;
    }
    return true;
  }

  bool Sends(int role) const {
    return std::any_of(protocol_.states.begin(), protocol_.states.end(), [&](const State& state) {
      return std::any_of(
          state.transitions.begin(), state.transitions.end(),
          [&](const Transition& t) { return t.trigger == Trigger::kSends && t.role == role; });
    });
  }

  bool Plays(int side, const Role& role) const {
    switch (role.plays) {
      case Role::kAny:
        break;
      case Role::kConnects:
      case Role::kAccepts: {
        if (!IsConnection()) return false;
        const bool accepted = object_.socket.accepted == (side == 0);
        if (accepted != (role.plays == Role::kAccepts)) return false;
        break;
      }
      case Role::kWrites:
      case Role::kReads:
        if (!IsOnePipe() || (side == 0) != (role.plays == Role::kWrites)) return false;
        break;
      case Role::kParent:
      case Role::kChild:
        if (object_.IsPipe() ? false : IsConnection()) return false;
        if ((ParentSide() == side) != (role.plays == Role::kParent) || ParentSide() < 0)
          return false;
        break;
    }
    return role.program.empty() || Runs(side, role.program);
  }

  // The process on this side, as far as it has shown itself; 0: it has not.
  uint32_t ProcessOf(int side) const {
    if (side == 1 && IsOnePipe()) return sides_.flows[0]->reader;
    const Flow* const flow = sides_.flows[side];
    const uint32_t sender = FirstSite(*flow).process;
    if (sender != 0) return sender;
    return flow->writer;
  }

  // The side of whoever made the pipes or the socketpair; -1: neither.
  int ParentSide() const {
    const uint32_t maker = object_.born.process;
    const uint32_t process[2] = {ProcessOf(0), ProcessOf(1)};
    for (int side = 0; side < 2; ++side) {
      if (process[side] == maker && process[1 - side] != maker) return side;
    }
    for (int side = 0; side < 2; ++side) {
      if (process[side] == 0 && process[1 - side] != 0 && process[1 - side] != maker) return side;
    }
    return -1;
  }

  bool Runs(int side, const std::string& program) const {
    const auto is = [&](const Process& process, Nanos when) {
      const std::string& image = process.ImageAt(when);
      return image.substr(image.rfind('/') + 1) == program || process.name == program;
    };
    const bool only_reads = side == 1 && IsOnePipe();
    if (const Process* process = model_.Find(ProcessOf(side)); process != nullptr) {
      const Site first = only_reads ? Site() : FirstSite(*sides_.flows[side]);
      return is(*process, first.process == 0 ? model_.now() : first.time);
    }
    // Nobody has done anything on this side yet: somebody who could, and is not on the other one.
    const Object* const object = only_reads ? &object_ : sides_.objects[side];
    if (object == nullptr) return false;
    for (const Description* description : object->descriptions) {
      if (object->IsPipe() && !(only_reads ? description->readable() : description->writable()))
        continue;
      for (const Descriptor* holder : description->holders) {
        if (holder->process_id != ProcessOf(1 - side) && is(*holder->process, model_.now()))
          return true;
      }
    }
    return false;
  }

  bool SecondSpeaksFirst() const {
    const auto begins = [](const Flow* flow) {
      if (flow == nullptr) return INT64_MAX;
      if (!flow->sent_chunks.empty()) return flow->sent_chunks.front().enter;
      return flow->waiting.empty() ? INT64_MAX : flow->waiting.begin()->first.first;
    };
    return begins(sides_.flows[1]) < begins(sides_.flows[0]);
  }

  const Model& model_;
  const Protocol& protocol_;
  const Sides& sides_;
  const Object& object_;
};

}  // namespace

int RoleOfFirst(const Model& model, const Protocol& protocol, const Sides& sides) {
  return Casting(model, protocol, sides).RoleOfFirst();
}

}  // namespace ipctrace::protocol

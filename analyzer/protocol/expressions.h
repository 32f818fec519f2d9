// Reads the expressions of guards and assignments: or, and, not, comparison, + -, *, unary -.
#ifndef IPCTRACE_ANALYZER_PROTOCOL_EXPRESSIONS_H_
#define IPCTRACE_ANALYZER_PROTOCOL_EXPRESSIONS_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "analyzer/protocol/cursor.h"

namespace ipctrace::protocol {

class ExpressionReader : public Cursor {
 public:
  Expression ReadExpression() { return Or(0); }

 protected:
  // What names may mean: what the messages of this protocol bind, and the variables.
  const std::shared_ptr<Protocol> protocol_ = std::make_shared<Protocol>();
  std::set<std::string> variables_;
  std::vector<int> current_;  // messages of the transition that is being read

 private:
  void Deeper(int depth) const;
  Expression Or(int depth);
  Expression And(int depth);
  Expression Not(int depth);
  Expression Comparison(int depth);
  Expression Sum(int depth);
  Expression Product(int depth);
  Expression Atom(int depth);
  Expression NameOrCall(int depth);
  bool Binds(int message, const std::string& name) const;
};

}  // namespace ipctrace::protocol

#endif  // IPCTRACE_ANALYZER_PROTOCOL_EXPRESSIONS_H_

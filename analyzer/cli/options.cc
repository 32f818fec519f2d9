#include "analyzer/cli/options.h"

#include <charconv>
#include <cmath>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analyzer/report/writers.h"

namespace ipctrace {
namespace {

using Parse = bool (*)(const std::string& value, Options* options);

struct Row {
  std::string_view name;
  unsigned commands;
  std::string_view value;     // what the value is called in the help
  Parse parse;                // false: the value makes no sense
  std::string_view expected;  // what would make sense
  std::string_view help;
};

bool ParseSeconds(const std::string& text, absl::Duration* duration) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  if (!std::isfinite(seconds) || seconds < 0) return false;
  *duration = absl::Seconds(seconds);
  return true;
}

bool ParseNumber(const std::string& text, int low, int high, int* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && *number >= low &&
         *number <= high;
}

constexpr unsigned kReports = kRun | kReport | kAttach | kBare;

const std::vector<Row>& Table() {
  static const auto* const table = new std::vector<Row>{
      {"checks", kReports, "GLOBS",
       [](const std::string& v, Options* o) { return o->checks = v, true; }, "",
       "which rules: comma-separated, in order, - takes away: -*,pipe-*"},
      {"format", kReports, "FORM",
       [](const std::string& v, Options* o) { return o->format = v, FindFormat(v) != nullptr; },
       "text, html, json, junit, sarif or github",
       "of the report: text (default), html, json, junit, sarif, github"},
      {"format", kShow, "FORM",
       [](const std::string& v, Options* o) { return o->format = v, v == "text" || v == "jsonl"; },
       "text or jsonl", "text (default), or jsonl: one JSON object a line"},
      {"output", kReports, "FILE",
       [](const std::string& v, Options* o) { return o->output = v, !v.empty(); }, "a file's name",
       "where the report goes: standard error by default, - is standard output"},
      {"color", kReports, "WHEN",
       [](const std::string& v, Options* o) {
         o->color = v == "always"  ? ColorMode::kAlways
                    : v == "never" ? ColorMode::kNever
                                   : ColorMode::kAuto;
         return v == "always" || v == "never" || v == "auto";
       },
       "always, never or auto", "always, never, or auto: on a terminal unless NO_COLOR is set"},
      {"trace", kRun | kAttach | kBare, "FILE",
       [](const std::string& v, Options* o) { return o->trace = v, !v.empty(); }, "a file's name",
       "keep the trace, for report, show and diagram"},
      {"protocol", kReports | kDiagram, "FILE",
       [](const std::string& v, Options* o) { return o->protocols.push_back(v), !v.empty(); },
       "a file's name",
       "check conversations against a protocol: a file, or one that ipctrace has (several may be "
       "given)"},
      {"format", kDiagram, "FORM",
       [](const std::string& v, Options* o) {
         return o->format = v, v == "text" || v == "mermaid" || v == "svg";
       },
       "text, mermaid or svg", "text (default), mermaid or svg"},
      {"of", kDiagram, "WHAT",
       [](const std::string& v, Options* o) {
         return o->states = v == "states", v == "states" || v == "messages";
       },
       "messages or states",
       "messages (default), or states: the protocol's machine, marked with what the trace covers"},
      {"connection", kDiagram, "TEXT",
       [](const std::string& v, Options* o) { return o->connection = v, !v.empty(); },
       "part of an address", "only connections whose address has this in it, as :8080"},
      {"process", kDiagram, "NAME",
       [](const std::string& v, Options* o) { return o->process = v, !v.empty(); },
       "a program's name or a pid", "only what this program or pid has a part in"},
      {"from", kDiagram, "SECONDS",
       [](const std::string& v, Options* o) { return ParseSeconds(v, &o->from); },
       "a number of seconds", "only what happened from then on"},
      {"until", kDiagram, "SECONDS",
       [](const std::string& v, Options* o) { return ParseSeconds(v, &o->until); },
       "a number of seconds", "only what happened until then"},
      {"payload", kRun | kAttach | kBare, "WHAT",
       [](const std::string& v, Options* o) {
         o->payload = v == "full";
         return v == "full" || v == "preview";
       },
       "full or preview",
       "how much of what is sent the trace holds: the first bytes, or all (default with "
       "--protocol)"},
      {"timeout", kRun, "SECONDS",
       [](const std::string& v, Options* o) {
         return ParseSeconds(v, &o->timeout) && o->timeout > absl::ZeroDuration();
       },
       "a number of seconds above 0", "end a run that lasts longer, and report what it was doing"},
      {"on-deadlock", kRun | kAttach | kBare, "WHAT",
       [](const std::string& v, Options* o) {
         o->on_deadlock = v == "end" ? OnDeadlock::kEnd : OnDeadlock::kWait;
         return v == "end" || v == "wait";
       },
       "end or wait",
       "end a program that can never go on (default; not in the bare form), or wait"},
      {"linger", kRun | kAttach | kBare, "SECONDS",
       [](const std::string& v, Options* o) { return ParseSeconds(v, &o->linger); },
       "a number of seconds",
       "how long to follow processes that outlive the first one (default 2)"},
      {"fail-on", kRun | kReport, "SEVERITY",
       [](const std::string& v, Options* o) {
         o->fail_on = v == "error"     ? Severity::kError
                      : v == "warning" ? Severity::kWarning
                                       : Severity::kNote;
         return v == "error" || v == "warning" || v == "note";
       },
       "error, warning or note",
       "which findings make --error-exitcode the exit status (default error)"},
      {"error-exitcode", kRun | kReport, "N",
       [](const std::string& v, Options* o) {
         return ParseNumber(v, 0, 255, &o->error_exitcode.emplace());
       },
       "a number from 0 to 255",
       "the exit status when there are such findings (default: the program's own; 1 with "
       "--fail-on)"},
      {"session", kAttach, "PATH",
       [](const std::string& v, Options* o) { return o->session = v, !v.empty(); }, "a path",
       "of the session"},
      {"pid", kAttach, "N",
       [](const std::string& v, Options* o) { return ParseNumber(v, 1, 1 << 30, &o->pid); },
       "a process id", "of the program's first process"},
  };
  return *table;
}

absl::Status Set(unsigned command, std::string_view shown, std::string_view name,
                 const std::string* value, Options* options) {
  for (const Row& row : Table()) {
    if (row.name != name || !(row.commands & command)) continue;
    if (value == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(std::string(shown), " needs a value: ", std::string(row.expected)));
    }
    if (!row.parse(*value, options)) {
      return absl::InvalidArgumentError(absl::StrCat(std::string(shown), " cannot be \"", *value,
                                                     "\": it takes ", std::string(row.expected)));
    }
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("there is no option ", std::string(shown), " here"));
}

}  // namespace

absl::Status ParseArguments(CommandSet command, const std::vector<std::string>& arguments,
                            Options* options) {
  size_t i = 0;
  for (; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      ++i;
      break;
    }
    if (argument.size() < 2 || argument[0] != '-') break;
    if (argument[1] != '-') {
      return absl::InvalidArgumentError(absl::StrCat("there is no option ", argument, " here"));
    }
    const size_t equals = argument.find('=');
    const std::string shown = argument.substr(0, equals);
    std::string value;
    const std::string* given = nullptr;
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
      given = &value;
    } else if (i + 1 < arguments.size() && arguments[i + 1] != "--") {
      value = arguments[i + 1];  // --format json
      given = &value;
    }
    const absl::Status status = Set(command, shown, shown.substr(2), given, options);
    if (!status.ok()) return status;
    if (equals == std::string::npos) ++i;
  }
  options->arguments.assign(arguments.begin() + static_cast<ptrdiff_t>(i), arguments.end());
  return absl::OkStatus();
}

absl::Status ParseEnvironment(std::string_view text, Options* options) {
  absl::Status first;
  while (!text.empty()) {
    const size_t colon = text.find(':');
    const std::string_view pair = text.substr(0, colon);
    text.remove_prefix(colon == std::string_view::npos ? text.size() : colon + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    const std::string name(pair.substr(0, equals));
    std::string value;
    if (equals != std::string_view::npos) value = pair.substr(equals + 1);
    const absl::Status status = Set(kBare, absl::StrCat(name, " (in IPCTRACE_OPTIONS)"), name,
                                    equals == std::string_view::npos ? nullptr : &value, options);
    if (first.ok()) first = status;
  }
  return first;
}

std::string OptionsHelp(CommandSet command) {
  std::string help;
  for (const Row& row : Table()) {
    if (!(row.commands & command)) continue;
    const std::string option =
        absl::StrCat("--", std::string(row.name), "=", std::string(row.value));
    help += absl::StrFormat("  %-21s %s\n", option, std::string(row.help));
  }
  return help;
}

}  // namespace ipctrace

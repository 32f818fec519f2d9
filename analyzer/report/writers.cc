#include "analyzer/report/writers.h"

#include "absl/strings/str_format.h"

namespace ipctrace {

const std::vector<Format>& Formats() {
  static const auto* const formats = new std::vector<Format>{{"text", WriteText},
                                                             {"json", WriteJson},
                                                             {"junit", WriteJunit},
                                                             {"sarif", WriteSarif},
                                                             {"github", WriteGithub}};
  return *formats;
}

const Format* FindFormat(std::string_view name) {
  for (const Format& format : Formats()) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

std::string PlaceText(const Frame* place) {
  if (place == nullptr) return "";
  if (place->line != 0) return place->file + ":" + std::to_string(place->line);
  if (place->module.empty()) return "";
  return absl::StrFormat("%s+0x%x", place->module.substr(place->module.rfind('/') + 1),
                         place->offset);
}

std::string ShortFunction(std::string_view function) {
  int depth = 0;  // in <> and {}
  for (size_t i = 0; i < function.size(); ++i) {
    const char c = function[i];
    if (function.substr(i).starts_with("operator")) {
      const size_t parenthesis = function.find('(', i + 10);  // past "operator()"
      if (depth == 0) return std::string(function.substr(0, parenthesis));
    }
    if (c == '<' || c == '{') ++depth;
    if ((c == '>' || c == '}') && depth > 0) --depth;
    if (c == '(' && depth == 0) {
      if (!function.substr(i).starts_with("(anonymous namespace)"))
        return std::string(function.substr(0, i));
      i += 20;
    }
  }
  return std::string(function);
}

std::string CountsText(const Report& report) {
  std::string text;
  for (const Severity severity : {Severity::kError, Severity::kWarning, Severity::kNote}) {
    const int64_t n = report.Count(severity);
    text += (text.empty() ? "" : ", ") + std::to_string(n) + " " +
            std::string(SeverityName(severity)) + (n == 1 ? "" : "s");
  }
  return text;
}

}  // namespace ipctrace

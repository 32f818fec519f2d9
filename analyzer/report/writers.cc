#include "analyzer/report/writers.h"

#include "absl/strings/str_format.h"

namespace ipctrace {
namespace {

using PutFunction = void(const Report&, const WriteOptions&, const Put&);
using WriteFunction = std::string(const Report&, const WriteOptions&);

template <WriteFunction write>
void PutWhole(const Report& report, const WriteOptions& options, const Put& put) {
  put(write(report, options));
}

template <PutFunction put>
std::string Whole(const Report& report, const WriteOptions& options) {
  std::string document;
  put(report, options, [&](std::string_view piece) { document += piece; });
  return document;
}

}  // namespace

std::string WriteText(const Report& report, const WriteOptions& options) {
  return Whole<PutText>(report, options);
}
std::string WriteJson(const Report& report, const WriteOptions& options) {
  return Whole<PutJson>(report, options);
}

const std::vector<Format>& Formats() {
  static const auto* const formats = new std::vector<Format>{{"text", PutText},
                                                             {"json", PutJson},
                                                             {"junit", PutWhole<WriteJunit>},
                                                             {"sarif", PutWhole<WriteSarif>},
                                                             {"github", PutWhole<WriteGithub>}};
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

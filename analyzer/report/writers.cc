#include "analyzer/report/writers.h"

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
std::string WriteHtml(const Report& report, const WriteOptions& options) {
  return Whole<PutHtml>(report, options);
}
std::string WriteJson(const Report& report, const WriteOptions& options) {
  return Whole<PutJson>(report, options);
}

const std::vector<Format>& Formats() {
  static const auto* const formats = new std::vector<Format>{{"text", PutText},
                                                             {"html", PutHtml},
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

}  // namespace ipctrace

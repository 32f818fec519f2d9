#include <errno.h>
#include <string.h>

#include <algorithm>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "analyzer/protocol/parser.h"

namespace ipctrace::protocol {

absl::StatusOr<std::shared_ptr<const Protocol>> Load(const std::string& name,
                                                     std::vector<std::string>* warnings) {
  std::string text;
  bool found = false;
  for (const LibraryProtocol* each = kLibrary; each->name != nullptr && !found; ++each) {
    if (name == each->name) {
      text = each->text;
      found = true;
    }
  }
  if (!found) {
    std::ifstream file(name, std::ios::binary);
    char part[4096];
    while (file && text.size() <= kMostProtocolBytes) {
      file.read(part, sizeof(part));
      text.append(part, static_cast<size_t>(file.gcount()));
    }
    if (!file.eof() && (!file || text.empty())) {
      std::string known;
      for (const LibraryProtocol* each = kLibrary; each->name != nullptr; ++each)
        known += (known.empty() ? "" : ", ") + std::string(each->name);
      return absl::NotFoundError(absl::StrCat("cannot read the protocol ", name, ": ",
                                              strerror(errno), " (ipctrace comes with: ", known,
                                              ")"));
    }
  }
  const Parsed parsed = Parse(text, name);
  const auto line = [&](const Remark& remark, const char* what) {
    return absl::StrCat(name, ":", remark.place.line, ":", remark.place.column, ": ", what,
                        remark.text);
  };
  for (const Remark& warning : parsed.warnings) warnings->push_back(line(warning, "warning: "));
  if (parsed.protocol != nullptr) return parsed.protocol;
  std::string all;
  for (size_t i = 0; i < parsed.errors.size() && i < 10; ++i)
    all += (i == 0 ? "" : "\n") + line(parsed.errors[i], "");
  return absl::InvalidArgumentError(all);
}

}  // namespace ipctrace::protocol

#include "analyzer/report/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "analyzer/report/escape.h"

namespace ipctrace {
namespace {

constexpr int64_t kMaxSourceBytes = 16 << 20;
constexpr size_t kMaxSourceColumns = 120;

std::string Tidy(const std::string& line) {
  std::string spaced;
  for (const char c : line) {
    if (c == '\t') {
      do spaced += ' ';
      while (spaced.size() % 8 != 0);
    } else if (c != '\r') {
      spaced += c;
    }
  }
  return Fit(EscapeTerminal(spaced), kMaxSourceColumns);
}

std::string ReadSource(const Frame& place) {
  std::string content;
  for (const bool here : {false, true}) {
    if (here && place.file.starts_with("/")) break;
    const std::string path =
        here || place.file.starts_with("/") ? place.file : place.directory + "/" + place.file;
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) continue;
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= kMaxSourceBytes) {
      content.resize(static_cast<size_t>(status.st_size));
      const ssize_t got = read(fd, content.data(), content.size());
      content.resize(got > 0 ? static_cast<size_t>(got) : 0);
    }
    close(fd);
    if (!content.empty()) break;
  }
  return content;
}

}  // namespace

std::vector<SourceReader::Line> SourceReader::Around(const Frame& place, int around) {
  std::vector<Line> lines;
  if (place.line == 0) return lines;
  const Source& source = SourceOf(place);
  const auto count = static_cast<int>(source.lines.size());
  if (place.line > count) return lines;
  for (int number = std::max(place.line - around, 1);
       number <= std::min(place.line + around, count); ++number) {
    const size_t at = source.lines[static_cast<size_t>(number - 1)];
    const size_t end = std::min(source.content.find('\n', at), source.content.size());
    lines.push_back({number, Tidy(source.content.substr(at, end - at))});
  }
  return lines;
}

// The findings come by file: the one that was read last is often the next one, too.
const SourceReader::Source& SourceReader::SourceOf(const Frame& place) {
  if (source_.file == place.file && source_.directory == place.directory) return source_;
  source_ = {place.file, place.directory, ReadSource(place), {}};
  for (size_t at = 0; at < source_.content.size();) {
    source_.lines.push_back(at);
    at = std::min(source_.content.find('\n', at), source_.content.size()) + 1;
  }
  return source_;
}

}  // namespace ipctrace

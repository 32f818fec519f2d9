// Streams made with new, and never deleted: nothing closes their files. fclose is not for them.
// SAYS: close(), or let it be destroyed
#include <fstream>
#include <string>

static std::string FirstWord(const std::string& path) {
  auto* file = new std::ifstream(path);  // EXPECT: fd-leak
  std::string word;
  *file >> word;
  return word;
}

int main() {
  size_t size = 0;
  for (int i = 0; i < 5; ++i) size += FirstWord("/proc/self/status").size();
  return size > 0 ? 0 : 1;
}

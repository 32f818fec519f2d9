// A log with two authors: a stream, and a function that must not allocate and so writes to the
// descriptor itself. The lines come out in the wrong order.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

class Log {
 public:
  explicit Log(const char* path) : stream_(fopen(path, "w")) {}
  ~Log() { fclose(stream_); }
  void Say(const char* text) { fprintf(stream_, "%s\n", text); }
  void Shout(const char* text) {
    write(fileno(stream_), text, strlen(text));  // EXPECT: stdio-fd-mix
  }

 private:
  FILE* stream_;
};

int main() {
  Log log("log.txt");
  log.Say("starting");
  log.Say("working");
  log.Shout("urgent!\n");
  log.Say("done");
}

#include "analyzer/cli/program.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "gtest/gtest.h"

namespace ipctrace {
namespace {

class ProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/programXXXXXX";
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
  }

  std::string Write(const std::string& name, const std::string& content, mode_t mode = 0755) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << content;
    chmod(path.c_str(), mode);
    return path;
  }

  std::string Compile(const std::string& name, const std::string& flags) {
    const std::string path = directory_ + "/" + name;
    const std::string command =
        "echo 'int main(void) { return 0; }' | gcc -x c - -o " + path + " " + flags;
    EXPECT_EQ(system(command.c_str()), 0);
    return path;
  }

  static std::string Error(const std::string& name, const char* search = nullptr) {
    return std::string(FindProgram(name, search).status().message());
  }

  std::string directory_;
};

TEST_F(ProgramTest, ADynamicProgramIsFoundInPath) {
  Compile("prog", "");
  const auto program = FindProgram("prog", ("/nowhere:" + directory_).c_str());
  ASSERT_TRUE(program.ok()) << program.status();
  EXPECT_EQ(program->path, directory_ + "/prog");
  EXPECT_TRUE(program->preloads.empty());
  EXPECT_EQ(PreloadValue(*program, "/lib/us.so", "theirs.so"), "/lib/us.so:theirs.so");
  EXPECT_EQ(PreloadValue(*program, "/lib/us.so", nullptr), "/lib/us.so");
}

TEST_F(ProgramTest, WhatIsNotThereIsSaid) {
  EXPECT_EQ(Error("./nowhere"), "cannot run ./nowhere: No such file or directory");
  EXPECT_EQ(Error("nowhere", directory_.c_str()),
            "cannot run nowhere: No such file or directory in PATH");
  EXPECT_EQ(Error(""), "cannot run \"\": No such file or directory");
  EXPECT_EQ(Error(directory_), "cannot run " + directory_ + ": it is a directory");
}

TEST_F(ProgramTest, WhatIsNotExecutableIsSaid) {
  const std::string path = Write("text", "text", 0644);
  EXPECT_EQ(Error(path), "cannot run " + path + ": Permission denied (it is not executable)");
  EXPECT_EQ(Error("text", directory_.c_str()),
            "cannot run " + path + ": Permission denied (it is not executable)");
}

TEST_F(ProgramTest, AStaticProgramIsRefusedAlsoBehindAScript) {
  const std::string path = Compile("static", "-static");
  EXPECT_EQ(Error(path), "cannot trace " + path +
                             ": it is statically linked, and nothing can be loaded into it");
  const std::string script = Write("script", "#! " + path + " x\n");
  EXPECT_EQ(Error(script), script + " is a script: " + Error(path));
}

TEST_F(ProgramTest, A32BitProgramIsRefused) {
  std::string header = std::string(
                           "\x7f"
                           "ELF\x01\x01\x01") +
                       std::string(57, '\0');
  EXPECT_NE(Error(Write("old", header)).find("32-bit"), std::string::npos);
  EXPECT_NE(Error(Write("short",
                        "\x7f"
                        "ELF"))
                .find("damaged"),
            std::string::npos);
}

TEST_F(ProgramTest, ASetUserIdProgramIsRefused) {
  const std::string path = Compile("raised", "");
  if (chown(path.c_str(), getuid() == 0 ? 65534 : getuid(), static_cast<gid_t>(-1)) != 0)
    GTEST_SKIP();
  chmod(path.c_str(), 04755);
  if (getuid() == 0) {
    EXPECT_NE(Error(path).find("set-user-ID"), std::string::npos);
  } else {
    EXPECT_EQ(Error(path), "") << "set to who runs it anyway: nothing is raised";
  }
}

TEST_F(ProgramTest, TextWithoutAnInterpreterIsForTheShell) {
  const auto program = FindProgram(Write("plain", "exit 3\n"), nullptr);
  ASSERT_TRUE(program.ok());
  EXPECT_TRUE(program->shell_script);
}

TEST_F(ProgramTest, GccsAddressSanitizerComesFirst) {
  const auto program = FindProgram(Compile("asan", "-fsanitize=address"), nullptr);
  ASSERT_TRUE(program.ok());
  ASSERT_EQ(program->preloads.size(), 1u);
  EXPECT_EQ(PreloadValue(*program, "/us.so", "theirs.so"),
            program->preloads[0] + ":/us.so:theirs.so");
}

}  // namespace
}  // namespace ipctrace

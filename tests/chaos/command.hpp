// SPDX-License-Identifier: Apache-2.0
// Runs a command line in a shell for the tests of chaos, and keeps what it printed.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace chaos_test {

class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "chaos-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw std::runtime_error{"cannot make a directory like " + pattern};
    path_ = pattern;
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline std::string content_of(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

struct Finished {
  int status = -1;  // The exit status, -1 when a signal ended it.
  std::string output;
  std::string errors;
};

inline Finished run(const std::string& command) {
  const ScratchDirectory scratch;
  const int status =
      std::system(("{ " + command + "; } >" + (scratch / "out") + " 2>" + (scratch / "err")).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, content_of(scratch / "out"),
          content_of(scratch / "err")};
}

}  // namespace chaos_test

// SPDX-License-Identifier: Apache-2.0
// A directory in which commands are run by the shell, as a user types them: `sluice` and the programs of the ladder.
#pragma once

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/detail/sanitizers.hpp>

#include "support/clear_away.hpp"

namespace sluice::test {

struct Ran {
  int status = -1;
  std::string out;  // With what it says on standard error.
};

// What begins a command that is to have so much memory and no more. A sanitizer reserves all there is.
inline std::string within_mib(int mib) {
  return SLUICE_ADDRESS_SANITIZER != 0 ? "" : "ulimit -v " + std::to_string(mib * 1024) + "; ";
}

class WithCommands : public testing::Test {
 protected:
  WithCommands() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-commands-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~WithCommands() override { clear_away(directory_); }

  Ran run(const std::string& line) const {
    write("command", line + "\n");
    const std::string whole =
        "cd '" + directory_.string() + "' && env PATH='" PROGRAMS ":" LADDER ":'\"$PATH\" sh ./command 2>&1";
    FILE* pipe = ::popen(whole.c_str(), "r");
    Ran ran;
    if (pipe == nullptr) return ran;
    char bytes[4096];
    for (std::size_t got = 0; (got = std::fread(bytes, 1, sizeof(bytes), pipe)) > 0;)
      ran.out.append(bytes, got);
    const int status = ::pclose(pipe);
    ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return ran;
  }
  std::filesystem::path file(const std::string& name) const { return directory_ / name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream{directory_ / name, std::ios::binary} << text;
  }
  std::string text_of(const std::string& name) const {
    std::ifstream in{directory_ / name, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }

  std::filesystem::path directory_;
};

}  // namespace sluice::test

// SPDX-License-Identifier: Apache-2.0
// Commands of `sluice` as a user runs them: what they print, where, and their exit status.
#pragma once

#include <array>
#include <cstdio>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace sluice::test {

struct Finished {
  int status = -1;
  std::string out;
  std::string err;
};

inline std::string drained(FILE* stream) {
  std::string text;
  std::array<char, 4096> bytes{};
  for (std::size_t got = 0; (got = std::fread(bytes.data(), 1, bytes.size(), stream)) > 0;) {
    text.append(bytes.data(), got);
  }
  return text;
}

// Runs `sluice <arguments>` by the shell, in an environment without our variables but for `variables`.
inline Finished sluice(const std::string& arguments, const std::string& variables = "") {
  const std::string err_path = testing::TempDir() + "sluice_command_" + std::to_string(::getpid());
  const std::string command =
      "env -i " + variables + " '" SLUICE_PROGRAM "' " + arguments + " 2>'" + err_path + "'";
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  Finished run;
  run.out = drained(pipe);
  const int status = ::pclose(pipe);
  run.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (FILE* err = std::fopen(err_path.c_str(), "r"); err != nullptr) {
    run.err = drained(err);
    std::fclose(err);
  }
  ::unlink(err_path.c_str());
  return run;
}

// For what stands between single quotes.
inline std::string shell_quoted(const std::string& text) {
  std::string quoted;
  for (const char c : text)
    quoted.append(c == '\'' ? "'\\''" : std::string(1, c));
  return quoted;
}

}  // namespace sluice::test

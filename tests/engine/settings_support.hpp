// SPDX-License-Identifier: Apache-2.0
// What the tests of the settings share: settings from variables and files, and what is said of bad ones.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include <sluice/settings.hpp>

#include "errors.hpp"

namespace sluice::test {

inline Settings with_environment(const std::vector<const char*>& variables) {
  return Settings::from_environment(variables);
}

inline std::string error_of_setting(const std::string& key, const std::string& value) {
  return error_of([&] { Settings{}.set(key, value); });
}

inline std::string error_of_variable(const std::string& variable) {
  return error_of([&] { with_environment({variable.c_str()}); });
}

// A file with the text, for as long as the object lives.
class File {
 public:
  explicit File(const std::string& text) {
    std::string name = testing::TempDir() + "sluice_profile_XXXXXX";
    ::close(::mkstemp(name.data()));
    path_ = name;
    std::ofstream{path_} << text;
  }
  ~File() { std::filesystem::remove(path_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string error_of_file(const std::string& text) {
  const File file{text};
  std::string error = error_of([&] { Settings{}.set("profile.file", file.path()); });
  const std::size_t at = error.find(file.path());
  return at == std::string::npos ? error : error.replace(at, file.path().size(), "FILE");
}

}  // namespace sluice::test

// SPDX-License-Identifier: Apache-2.0
#include "support/recorded_data.hpp"

#include <cstdlib>
#include <optional>
#include <string>

namespace sluice::test {
namespace {

std::optional<std::string> take_from_environment() {
  constexpr const char* kVariable = "SLUICE_TEST_DATA";
  const char* named = std::getenv(kVariable);
  if (named == nullptr) return std::nullopt;
  std::optional<std::string> directory{named};
  ::unsetenv(kVariable);
  return directory;
}

const std::optional<std::string> directory = take_from_environment();

}  // namespace

const char* recorded_data() noexcept {
  return directory ? directory->c_str() : nullptr;
}

}  // namespace sluice::test

// SPDX-License-Identifier: Apache-2.0
// What an Error says, for tests that look at its text.
#pragma once

#include <string>

#include <sluice/error.hpp>

namespace sluice::test {

// The text of the Error that `work` throws; empty if it throws none.
template <class Work>
std::string error_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace sluice::test

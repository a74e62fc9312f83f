// SPDX-License-Identifier: Apache-2.0
// How the tests of this directory state what an error must say.
#pragma once

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>

// The sentence of the sluice::Error that `act` throws; a failed test if it throws none.
inline std::string error_of(auto&& act) {
  try {
    act();
  } catch (const sluice::Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no sluice::Error was thrown";
  return {};
}

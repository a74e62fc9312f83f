// SPDX-License-Identifier: Apache-2.0
// Where the recorded exchange data is: the variable SLUICE_TEST_DATA, which is the tests' and none of the
// product's.
//
// A program of the product refuses it, as it refuses every SLUICE_* that is no setting. So each test program
// takes it out of its environment before main() runs, and what it starts never sees it.
#pragma once

namespace sluice::test {

// The directory that SLUICE_TEST_DATA named when this process began; nullptr if it named none.
const char* recorded_data() noexcept;

}  // namespace sluice::test

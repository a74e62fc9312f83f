// SPDX-License-Identifier: Apache-2.0
// What the market tests share.
#pragma once

#include "support/files.hpp"

namespace market::test {

using namespace sluice::test;

}  // namespace market::test

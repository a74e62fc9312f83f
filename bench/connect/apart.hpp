// SPDX-License-Identifier: Apache-2.0
// What is asked of a server before and after a run, asked by a process of its own: libraries have threads, which would not live on
// in the children that are measured.
#pragma once

#include <functional>

#include "stores.hpp"

namespace sluice::bench {

// What `work` gives. Throws Error if it does not end well.
StoredSum apart(const std::function<StoredSum()>& work);

}  // namespace sluice::bench

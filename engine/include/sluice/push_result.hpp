// SPDX-License-Identifier: Apache-2.0
// PushResult: what became of an event that a host pushed.
#pragma once

namespace sluice {

enum class PushResult {
  accepted,  // It will take effect exactly once.
  dropped,   // The lane was full and its policy is drop_newest, or its worker is shed (restart.spent).
  ended,     // The inlet is closed, or the pipeline is over: see Engine::wait() for why.
};

}  // namespace sluice

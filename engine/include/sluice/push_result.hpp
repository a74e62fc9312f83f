// SPDX-License-Identifier: Apache-2.0
// PushResult: what became of an event, or of several, that a host pushed.
#pragma once

namespace sluice {

enum class PushResult {
  accepted,  // It will take effect exactly once.
  dropped,  // The lane was full and its policy is drop_newest, or its worker is shed (restart.spent). Of several: one was.
  ended,    // The inlet is closed, or the pipeline is over: see Engine::wait() for why.
  full,     // There is no room, and the push does not wait for it any longer. Nothing was pushed.
};

}  // namespace sluice

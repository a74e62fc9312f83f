// SPDX-License-Identifier: Apache-2.0
#include "layout/verdict.hpp"

namespace sluice::detail {

std::string_view name_of(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::idle:
      return "idle";
    case Verdict::back_pressured:
      return "back-pressured";
    case Verdict::busy:
      return "busy";
    case Verdict::stalled:
      return "stalled";
    case Verdict::starved:
      return "starved";
    case Verdict::stopped:
      return "stopped";
    case Verdict::unkillable:
      return "unkillable";
    case Verdict::dead:
      return "dead";
    case Verdict::voided:
      return "void";
    case Verdict::shed:
      return "shed";
    case Verdict::outside:
      return "waiting outside";
    case Verdict::standing:
      return "standing still";
  }
  return "?";
}

}  // namespace sluice::detail

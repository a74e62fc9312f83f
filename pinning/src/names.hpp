// SPDX-License-Identifier: Apache-2.0
// What the texts, the JSON and the drawing of a plan have in common.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sluice/pinning/explain.hpp>

namespace sluice::pinning {

// Names and places of the workers, numbered through the stages, and of the host.
class Names {
 public:
  explicit Names(const Planned& planned);

  std::size_t workers() const noexcept { return names_.size(); }
  std::string name(std::size_t worker) const { return worker == kHost ? "host" : names_[worker]; }
  const Place& place(std::size_t worker) const { return worker == kHost ? *host_ : *places_[worker]; }

 private:
  std::vector<std::string> names_;
  std::vector<const Place*> places_;
  const Place* host_ = nullptr;
};

std::string stage_name(const Planned& planned, std::size_t stage);
std::string bytes_text(std::uint64_t bytes);

// Of Plan::cost: "for each event of a source".
std::string cost_unit(const Planned& planned);

}  // namespace sluice::pinning

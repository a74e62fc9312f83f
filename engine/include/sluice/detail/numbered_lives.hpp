// SPDX-License-Identifier: Apache-2.0
// The number of a start of a pipeline (Worker::life()), for whoever knows the order of the starts of a run better than clocks do.
#pragma once

#include <cstdint>

namespace sluice::detail {

// Pipelines that this process starts from now on begin a life of this number, or of the one behind the life that they go on from,
// if that is higher. Without it, and for 0, the time is the number, so that of two machines that go on from one checkpoint the one
// whose clock is behind may be refused by what both write to. Any thread, before Engine::start().
void number_lives_from(std::uint64_t number) noexcept;

}  // namespace sluice::detail

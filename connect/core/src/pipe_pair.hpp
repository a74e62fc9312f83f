// SPDX-License-Identifier: Apache-2.0
// Pipes whose content is looked at and moved without being read: what PipeInput holds, and what PipeSource does with it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

struct Pipe {
  // As large as `bytes` if that is allowed. Throws Error.
  explicit Pipe(int bytes);

  Descriptor out;  // To be read from,
  Descriptor in;   // and written to. Neither blocks.
  int capacity_bytes = 0;
};

// Made in the host, used in the worker.
struct PipePair {
  explicit PipePair(const std::string& path);

  std::string name;
  bool ends;             // Standard input does with its last writer; a FIFO waits for the next one.
  std::uint64_t number;  // Of this input among all there ever were.
  Descriptor input;
  std::array<Pipe, 2> kept;
};

// What is in the pipe, as far as `scratch`, which is empty, takes it; it stays there. Throws Error.
std::string look_into(int pipe, const Pipe& scratch, const std::string& name);
// Moves the first `bytes` of what is in one pipe to the end of another: how many found room. Killed at any instant each byte is in one of
// them. Throws Error.
std::size_t move_bytes(int from, const Pipe& to, std::size_t bytes, const std::string& name);
// Nothing stays in it.
void throw_away(const Pipe& pipe);
// Whether nobody can write into it any more.
bool has_no_writer(int pipe);

}  // namespace sluice::detail

// SPDX-License-Identifier: Apache-2.0
// What a replacement that is executed is told by the process that it was before, in a sealed file of memory: which worker it
// is, where the segment lies in which descriptors, and what it cannot make again (layout/executed_start.hpp).
//
//     fork of the master                                     the program, executed anew
//     dies with the master until it is registered
//     owns its region, begins its life
//     writes an ExecutedLife, keeps its descriptors open
//     execve("/proc/self/exe", the arguments, kLifeArgument)
//                                                            main() calls executed_worker() first
//                                                            reads the ExecutedLife, builds the pipeline
//                                                            another shape: refuses, for good
//                                                            maps the segment, owns the region
//                                                            run_worker(), as any other
//
// The process stays the same: pid, pidfd, place, limits and the line that it dies with. A death at any point of this is a death
// of the worker, whose life has begun, and in which no event was begun.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/index.hpp>
#include <sluice/ipc/segment.hpp>
#include <sluice/pinning/place.hpp>

#include "layout/executed_start.hpp"
#include "layout/wiring.hpp"

namespace sluice::detail {

// The last argument of such a process: behind it stands the number of the descriptor. executed_worker() takes it away.
inline constexpr std::string_view kLifeArgument = "--sluice-executed-worker=";

struct ExecutedLife {
  std::uint64_t worker = 0;
  pinning::Place place;
  std::string pipeline;
  std::string name;  // Of the worker.
  std::string reports;
  std::uint64_t start = 0;           // Wiring::start().
  std::uint64_t named = 0;           // Whether the segment is a file with a name.
  std::uint64_t code_begins = 0;     // Of the program, in the master.
  ipc::InFile region;                // Where the worker's begins.
  std::uint64_t segment_begins = 0;  // Segment::first_byte().
  ipc::HugePages huge;
  std::array<int, 3> memory{-1, -1, -1};  // Segment::descriptors().
  int lifeline = -1;                      // What this process dies with; only to be left open.
  std::vector<int> bells;                 // Doorbells::processes.
  std::vector<int> end_bells;             // Doorbells::ends.
  ExecutedStart made;
};

ExecutedLife life_of(const Wiring& wiring, WorkerIndex worker, const pinning::Place& place, int lifeline);
// All descriptors that it names.
std::vector<int> descriptors_of(const ExecutedLife& life);

std::string to_bytes(const ExecutedLife& life);
// Nothing for bytes of another version or that end early.
std::optional<ExecutedLife> read_life(std::string_view bytes);

// A file of memory that holds it and that nobody can change. Throws Error.
Descriptor file_of(const ExecutedLife& life);
// The life in the file of that number; nothing where that is no such file.
std::optional<ExecutedLife> life_in(int fd);

}  // namespace sluice::detail

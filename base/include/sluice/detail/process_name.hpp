// SPDX-License-Identifier: Apache-2.0
// What a process is called in ps, top and /proc: its name (/proc/PID/comm), one of those below or its worker's; and its
// command line, "sluice: market parse/1".
//
// The command line is told to the kernel anew (prctl(2), PR_SET_MM_MAP): nothing is written over the arguments and the
// environment, to which handlers may point. A kernel that has no such call (CONFIG_CHECKPOINT_RESTORE), or does not allow
// it, leaves a process the command line of its program.
#pragma once

#include <string>
#include <string_view>

namespace sluice::detail {

// At most 15 characters each: the kernel keeps no more. Source: prctl(2), PR_SET_NAME.
inline constexpr std::string_view kSupervisorName = "sluice-super";
inline constexpr std::string_view kMasterName = "sluice-master";
inline constexpr std::string_view kStandbyName = "sluice-standby";
inline constexpr std::string_view kMmPinName = "sluice-mm-pin";
inline constexpr std::string_view kStackDumperName = "sluice-dumper";
inline constexpr std::string_view kCheckpointerName = "sluice-checkpt";
inline constexpr std::string_view kLogWriterName = "sluice-log";
inline constexpr std::string_view kChaosName = "sluice-chaos";
inline constexpr std::size_t kMostNameBytes = 15;

// This process and those that it forks belong to a pipeline: from now on set_process_name() changes command lines, too.
// Never in a host, which keeps its own. Does not fail.
void begin_command_lines(std::string_view pipeline) noexcept;

// Names the calling thread; of a process with one thread, the process. What is longer than 15 characters is
// cut. Does not fail.
void set_process_name(std::string_view name) noexcept;

// The same for a worker of a pipeline, "parse/1": its pipeline stands before its name where there is room for both.
void set_worker_name(std::string_view pipeline, std::string_view worker) noexcept;
// What that makes the name of its process.
std::string worker_process_name(std::string_view pipeline, std::string_view worker);

}  // namespace sluice::detail

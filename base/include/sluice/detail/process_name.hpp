// SPDX-License-Identifier: Apache-2.0
// What a process is called in ps, top and /proc: one of the names below, or its worker's.
#pragma once

#include <string_view>

namespace sluice::detail {

// At most 15 characters each: the kernel keeps no more. Source: prctl(2), PR_SET_NAME.
inline constexpr std::string_view kSupervisorName = "sluice-super";
inline constexpr std::string_view kMasterName = "sluice-master";
inline constexpr std::string_view kStandbyName = "sluice-standby";
inline constexpr std::string_view kMmPinName = "sluice-mm-pin";
inline constexpr std::string_view kStackDumperName = "sluice-dumper";
inline constexpr std::string_view kLogWriterName = "sluice-log";
inline constexpr std::string_view kChaosName = "sluice-chaos";

// Names the calling thread; of a process with one thread, the process. What is longer than 15 characters is
// cut. Does not fail.
void set_process_name(std::string_view name) noexcept;

}  // namespace sluice::detail

// SPDX-License-Identifier: Apache-2.0
// Backtraces with names: of addresses of this program, and of all threads of another process.
//
// Both allocate, open the files of the program and its libraries, and may take tens of milliseconds: they are
// called where no process waits for it, as a rule by the stack dumper. Neither asks the network for debug
// information.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace sluice::detail {

// A line for each address: function and offset, source and line where there is debug information, module. The
// addresses are those of a backtrace, innermost first, of this process or of another fork of the same
// program.
std::string symbolize(std::span<const std::uintptr_t> addresses);

// A line "file+0xoffset build id 0123456789abcdef" for each address of this process, within microseconds, without the build id
// where the linker gave the file none; and the names of such lines. A file whose build id is another one by now has none.
std::string places_of(std::span<const std::uintptr_t> addresses);
std::string symbolize_places(std::string_view places);

// The stacks of all threads of process `pid`, which need not be able to help: a line for each thread and one
// for each of its frames. Where a stack cannot be had, the text says why. The process stands still while its
// stacks are read; `while_stopped` is called before it goes on, and may kill it. Not much longer than
// `limit`.
//
// Call it in a process that soon ends, for a thread in state D is only let go of then.
std::string stacks_of(pid_t pid, std::chrono::milliseconds limit,
                      const std::function<void()>& while_stopped = {});

}  // namespace sluice::detail

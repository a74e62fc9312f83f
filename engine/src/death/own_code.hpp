// SPDX-License-Identifier: Apache-2.0
// Where the code of the program lies, in this process and in the master. A worker that was executed has it elsewhere; addresses in
// crash notes are those of the master, for whom they are written. In all other processes both are the same.
//
// The program itself, not its libraries: these lie elsewhere too, and their addresses are nobody's in the master.
#pragma once

#include <cstdint>

namespace sluice::detail {

// Where the program begins in this process.
std::uintptr_t begin_of_code() noexcept;
// In a process that was executed, before its first note: where the program begins in the master.
void code_of_master_begins(std::uintptr_t begin) noexcept;

// An address of this process as the master has it, and the other way round; others as they are. Async-signal-safe.
std::uintptr_t as_in_master(std::uintptr_t address) noexcept;
std::uintptr_t as_here(std::uintptr_t address) noexcept;

}  // namespace sluice::detail

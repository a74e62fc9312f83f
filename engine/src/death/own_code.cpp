// SPDX-License-Identifier: Apache-2.0
#include "death/own_code.hpp"

#include <algorithm>
#include <cstddef>
#include <link.h>

namespace sluice::detail {
namespace {

// Of the program in this process, and how much further up it lies in the master, which may be a negative number: sums wrap.
struct Code {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  std::uintptr_t up = 0;
};
Code own_code;

bool is_in(std::uintptr_t address) noexcept {
  return address >= own_code.begin && address < own_code.end;
}

// The first object is the program.
int measure_program(dl_phdr_info* info, std::size_t, void* measured) {
  Code& code = *static_cast<Code*>(measured);
  code.begin = info->dlpi_addr;
  for (unsigned i = 0; i < info->dlpi_phnum; ++i) {
    const auto& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD) continue;
    code.end = std::max<std::uintptr_t>(code.end, code.begin + part.p_vaddr + part.p_memsz);
  }
  return 1;
}

}  // namespace

std::uintptr_t begin_of_code() noexcept {
  Code code;
  ::dl_iterate_phdr(measure_program, &code);
  return code.begin;
}

void code_of_master_begins(std::uintptr_t begin) noexcept {
  ::dl_iterate_phdr(measure_program, &own_code);
  own_code.up = begin - own_code.begin;
}

std::uintptr_t as_in_master(std::uintptr_t address) noexcept {
  return is_in(address) ? address + own_code.up : address;
}

std::uintptr_t as_here(std::uintptr_t address) noexcept {
  return is_in(address - own_code.up) ? address - own_code.up : address;
}

}  // namespace sluice::detail

// SPDX-License-Identifier: Apache-2.0
#include "sluice/event.hpp"

#include <cstdlib>
#include <cxxabi.h>
#include <memory>

namespace sluice {

std::string EventType::name() const {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> demangled{
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), &std::free};
  return demangled == nullptr ? type->name() : demangled.get();
}

}  // namespace sluice

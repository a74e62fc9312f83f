// SPDX-License-Identifier: Apache-2.0
// What a test can see in a C++ source without compiling it: its code apart from comments and literals, and
// where its functions begin and end. Right for what clang-format leaves behind, not for all of C++.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::house {

std::vector<std::string_view> lines_of(std::string_view text);

// The same text with spaces in place of comments, of what strings and characters hold, and of preprocessor
// lines. Line breaks stay where they are.
std::string code_of(std::string_view text);

struct Function {
  std::string head;       // Its first line.
  std::size_t line = 0;   // Where that is, counted from 1.
  std::size_t lines = 0;  // From there to the brace that ends it.
};

// Every function with a body that stands in a namespace or a class, in order of where they end. A function in
// a function is a part of it.
std::vector<Function> functions_of(std::string_view text);

}  // namespace sluice::house

// SPDX-License-Identifier: Apache-2.0
// Locales of other countries, whatever this machine has: a program may choose one, and nothing of ours may follow.
#pragma once

#include <locale>
#include <string>

namespace sluice::test {

// As the streams of a French program read and write numbers: 1 234 567,5.
class ForeignNumbers {
 public:
  ForeignNumbers() : former_{std::locale::global(std::locale{std::locale::classic(), new Point})} {}
  ~ForeignNumbers() { std::locale::global(former_); }
  ForeignNumbers(const ForeignNumbers&) = delete;
  ForeignNumbers& operator=(const ForeignNumbers&) = delete;

 private:
  struct Point : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return ' '; }
    std::string do_grouping() const override { return "\3"; }
  };
  std::locale former_;
};

}  // namespace sluice::test

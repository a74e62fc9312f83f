// SPDX-License-Identifier: Apache-2.0
// What the programs from 03_count on have in common: Read is that of 01_copy, Split that of 02_split.
#pragma once

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

#include <sluice/sluice.hpp>

// An event: it is copied byte by byte, so its text has a place of its own. What is longer is cut.
using Word = sluice::Text<32>;

// Reads lines.txt. Where it stands is state: a replacement goes on there.
class Read {
 public:
  explicit Read(sluice::Worker& worker) : at_{worker.state<std::uint64_t>("at")}, file_{"lines.txt"} {
    file_.seekg(static_cast<std::streamoff>(*at_));
  }
  sluice::SourceState operator()(sluice::Output<sluice::Bytes>& out) {
    std::string line;
    if (!std::getline(file_, line)) return sluice::SourceState::end;
    out.push(line);
    at_.edit() += line.size() + 1;
    return sluice::SourceState::more;
  }

 private:
  sluice::Recoverable<std::uint64_t> at_;
  std::ifstream file_;
};

// Makes words of a line.
struct Split {
  void operator()(const sluice::Bytes& line, sluice::Output<Word>& words) const {
    std::istringstream in{std::string{line.text()}};
    for (std::string word; in >> word;)
      words.push(Word::truncated(word));
  }
};

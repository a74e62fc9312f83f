// SPDX-License-Identifier: Apache-2.0
// 2: a stage between. Makes words of the lines, in a process of its own.
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

#include <sluice/sluice.hpp>

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

// An event: it is copied byte by byte, so its text has a place of its own. What is longer is cut.
using Word = sluice::Text<32>;

// A handler takes one event and pushes as many as it likes.
struct Split {
  void operator()(const sluice::Bytes& line, sluice::Output<Word>& words) const {
    std::istringstream in{std::string{line.text()}};
    for (std::string word; in >> word;)
      words.push(Word::truncated(word));
  }
};

class Write {
 public:
  explicit Write(sluice::Worker& worker) : file_{worker, "words", "words.txt"} {}
  void operator()(const Word& word) { file_.append(std::string{word} + "\n"); }

 private:
  sluice::AppendFile file_;
};

int main(int argc, char** argv) {
  sluice::Pipeline pipeline{"split"};
  pipeline.source<Read>("read").to<Split>("split").to<Write>("write");
  return sluice::main(argc, argv, pipeline);
}

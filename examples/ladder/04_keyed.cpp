// SPDX-License-Identifier: Apache-2.0
// 4: keys. Two workers count, the same word always by the same one; a third process writes what both say.
#include "words.hpp"

class Count {
 public:
  explicit Count(sluice::Worker& worker) : counts_{worker.table<Word, std::uint64_t>("counts", 120'000)} {}
  void operator()(const Word& word, sluice::Output<sluice::Bytes>&) { ++counts_[word]; }
  void finish(sluice::Output<sluice::Bytes>& lines) {
    counts_.for_each([&](const Word& word, std::uint64_t count) {
      lines.push(std::to_string(count) + " " + std::string{word} + "\n");
    });
  }

 private:
  sluice::Table<Word, std::uint64_t> counts_;
};

class Write {
 public:
  explicit Write(sluice::Worker& worker) : file_{worker, "file", "counts.txt"} {}
  void operator()(const sluice::Bytes& line) { file_.append(line.text()); }

 private:
  sluice::AppendFile file_;
};

int main(int argc, char** argv) {
  sluice::Pipeline pipeline{"keyed"};
  pipeline.source<Read>("read")
      .to<Split>("split")
      .by(&Word::view)
      .to<Count>("count", {.workers = 2})
      .to<Write>("write");
  return sluice::main(argc, argv, pipeline);
}

// SPDX-License-Identifier: Apache-2.0
// 3: state. Counts each word, and says its last word when everything has been counted.
#include "words.hpp"

class Count {
 public:
  explicit Count(sluice::Worker& worker)
      : counts_{worker.table<Word, std::uint64_t>("counts", 20'000)}, file_{worker, "file", "counts.txt"} {}
  void operator()(const Word& word) { ++counts_[word]; }
  void finish() {
    counts_.for_each([&](const Word& word, std::uint64_t count) {
      file_.append(std::to_string(count) + " " + std::string{word} + "\n");
    });
  }

 private:
  sluice::Table<Word, std::uint64_t> counts_;  // Rolled back with the batch that dies.
  sluice::AppendFile file_;
};

int main(int argc, char** argv) {
  sluice::Pipeline pipeline{"count"};
  pipeline.source<Read>("read").to<Split>("split").to<Count>("count");
  return sluice::main(argc, argv, pipeline);
}

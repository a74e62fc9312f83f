// SPDX-License-Identifier: Apache-2.0
// 7: two outputs. Words that are numbers go one way, all others another.
#include <charconv>

#include "words.hpp"

struct Sort {
  void operator()(const Word& word, sluice::Output<std::int64_t>& numbers,
                  sluice::Output<Word>& words) const {
    const std::string_view text = word;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc{} && end == text.data() + text.size()) {
      numbers.push(number);
    } else {
      words.push(word);
    }
  }
};

class Add {
 public:
  explicit Add(sluice::Worker& worker)
      : sum_{worker.state<std::int64_t>("sum")}, file_{worker, "file", "sum.txt"} {}
  void operator()(const std::int64_t& number) { sum_.edit() += number; }
  void finish() { file_.append(std::to_string(*sum_) + "\n"); }

 private:
  sluice::Recoverable<std::int64_t> sum_;
  sluice::AppendFile file_;
};

class Write {
 public:
  explicit Write(sluice::Worker& worker) : file_{worker, "file", "words.txt"} {}
  void operator()(const Word& word) { file_.append(std::string{word} + "\n"); }

 private:
  sluice::AppendFile file_;
};

int main(int argc, char** argv) {
  sluice::Pipeline pipeline{"sort"};
  const auto [numbers, words] = pipeline.source<Read>("read").to<Split>("split").to<Sort>("sort");
  numbers.to<Add>("add");
  words.to<Write>("write");
  return sluice::main(argc, argv, pipeline);
}

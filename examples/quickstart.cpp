// SPDX-License-Identifier: Apache-2.0
// Counts words, in a process for each core that is left. kill -9 them as you like: the counts are right.
#include <cstdio>
#include <iostream>

#include <sluice/sluice.hpp>

using Word = sluice::Text<32>;  // An event: a value of a fixed size.

class Count {  // One object per worker.
 public:
  explicit Count(sluice::Worker& worker) : counts_{worker.table<Word, std::uint64_t>("counts", 20'000)} {}
  void operator()(const Word& word, sluice::Output<sluice::Bytes>&) { ++counts_[word]; }
  void finish(sluice::Output<sluice::Bytes>& lines) {  // Its last word, when everything has been counted.
    counts_.for_each([&](const Word& word, std::uint64_t count) {
      lines.push(std::to_string(count) + " " + std::string{word} + "\n");
    });
  }

 private:
  sluice::Table<Word, std::uint64_t> counts_;  // Recoverable: rolled back with the batch that dies.
};

int main(int argc, char**) try {
  if (argc > 1) return std::cerr << "quickstart counts the words of its input: quickstart < FILE\n", 2;
  sluice::Pipeline words{"words"};
  words.inlet<Word>("in").by(&Word::view).to<Count>("count", {.workers = sluice::cores}).outlet("out");
  sluice::Engine engine{words};
  engine.start();
  auto in = engine.inlet<Word>("in");
  for (std::string word; std::cin >> word;)
    if (in.push(Word::truncated(word)) != sluice::PushResult::accepted) break;
  in.close();
  auto out = engine.outlet<sluice::Bytes>("out");
  while (out.wait(std::chrono::hours{1}), !out.ended())
    out.poll([](const sluice::Bytes& line) { std::cout << line.text(); });
  engine.wait();
  // All was read, counted and written.
  return !std::ferror(stdin) && engine.stats().dead_letters() == 0 && std::cout.flush() ? 0 : 1;
} catch (const sluice::Error& error) {
  return std::cerr << "quickstart: " << error.what() << "\n", 1;
}

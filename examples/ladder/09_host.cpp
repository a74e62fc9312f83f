// SPDX-License-Identifier: Apache-2.0
// 9: a host, watched. Your program pushes what it reads and pulls the answers, and asks how the pipeline is.
#include <iostream>

#include "words.hpp"

struct Length {
  std::uint64_t letters;
};

int main() {
  sluice::Pipeline pipeline{"lengths"};
  pipeline.inlet<Word>("words")
      .to("measure", [](const Word& word, sluice::Output<Length>& out) { out.push({word.size()}); })
      .outlet("lengths");
  sluice::Engine engine{pipeline};
  engine.start();

  auto words = engine.inlet<Word>("words");
  for (std::string word; std::cin >> word;)
    if (words.push(Word::truncated(word)) != sluice::PushResult::accepted) break;
  words.close();

  std::uint64_t letters = 0;
  auto lengths = engine.outlet<Length>("lengths");
  while (lengths.wait(std::chrono::hours{1}), !lengths.ended())
    lengths.poll([&](const Length& length) { letters += length.letters; });
  engine.wait();

  std::cout << letters << " letters\n";
  for (const sluice::StageStats& stage : engine.stats().stages)
    std::cout << stage.name << ": " << stage.events_in() << " events, " << stage.restarts() << " deaths\n";
  // All was handled and said.
  return engine.stats().dead_letters() == 0 && std::cout.flush() ? 0 : 1;
}

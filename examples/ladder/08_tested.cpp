// SPDX-License-Identifier: Apache-2.0
// 8: a test. The same handlers in one thread, without processes: what they make of three lines, each time the same.
#include <array>
#include <iostream>

#include "words.hpp"

int main() {
  sluice::Pipeline pipeline{"tested"};
  pipeline.inlet<sluice::Bytes>("lines").to<Split>("split").outlet("words");

  const std::array lines{sluice::Bytes{"to be"}, sluice::Bytes{""}, sluice::Bytes{"or not"}};
  const sluice::InlineRun run = sluice::run_inline(pipeline, lines);

  std::string said;
  for (const Word& word : run.events<Word>("words"))
    said.append(word).append(",");
  const bool right = said == "to,be,or,not,";
  std::cout << (right ? "passed\n" : "failed: " + said + "\n");
  return right && std::cout.flush() ? 0 : 1;
}

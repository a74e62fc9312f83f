// SPDX-License-Identifier: Apache-2.0
// 5: a death. The handler kills its own process in the midst of an event, once; the sum is right all the same.
#include <csignal>

#include "words.hpp"

class Sum {
 public:
  explicit Sum(sluice::Worker& worker)
      : worker_{worker}, letters_{worker.state<std::uint64_t>("letters")}, file_{worker, "file", "sum.txt"} {}
  void operator()(const Word& word) {
    letters_.edit() += word.size();
    // What has been added by now is taken back: the replacement, incarnation 2, adds it again.
    if (word == "question" && worker_.incarnation() == 1) std::raise(SIGKILL);
  }
  void finish() { file_.append(std::to_string(*letters_) + " letters\n"); }

 private:
  sluice::Worker& worker_;
  sluice::Recoverable<std::uint64_t> letters_;
  sluice::AppendFile file_;
};

int main(int argc, char** argv) {
  sluice::Pipeline pipeline{"killed"};
  pipeline.source<Read>("read").to<Split>("split").to<Sum>("sum");
  return sluice::main(argc, argv, pipeline);
}

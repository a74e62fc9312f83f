// SPDX-License-Identifier: Apache-2.0
// 6: an event that nobody survives. The handler has a bug: it reads through a null pointer where a word is "question". The third
// time that happens the event becomes a dead letter, and the flow goes on.
#include "words.hpp"

class Write {
 public:
  explicit Write(sluice::Worker& worker) : file_{worker, "file", "survived.txt"} {}
  void operator()(const Word& word) {
    const volatile char* text = word == "question" ? nullptr : word.view().data();
    file_.append(std::string(1, text[0]) + std::string{word.view().substr(1)} + "\n");
  }

 private:
  sluice::AppendFile file_;
};

int main(int argc, char** argv) {
  sluice::Pipeline pipeline{"fragile"};
  pipeline.source<Read>("read").to<Split>("split").to<Write>("write");
  return sluice::main(argc, argv, pipeline);
}

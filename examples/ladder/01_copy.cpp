// SPDX-License-Identifier: Apache-2.0
// 1: a source and a sink. Copies lines.txt to copy.txt, each line once, whoever is killed.
#include <cstdint>
#include <fstream>
#include <string>

#include <sluice/sluice.hpp>

// A source is called for the next event. Where it stands is state: a replacement goes on there.
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

// A sink is a handler without outputs. An AppendFile is rolled back with the batch that dies.
class Write {
 public:
  explicit Write(sluice::Worker& worker) : file_{worker, "copy", "copy.txt"} {}
  void operator()(const sluice::Bytes& line) { file_.append(std::string{line.text()} + "\n"); }

 private:
  sluice::AppendFile file_;
};

int main(int argc, char** argv) {
  sluice::Pipeline pipeline{"copy"};
  pipeline.source<Read>("read").to<Write>("write");
  return sluice::main(argc, argv, pipeline);
}

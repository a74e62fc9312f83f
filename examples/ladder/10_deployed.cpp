// SPDX-License-Identifier: Apache-2.0
// 10: a service. It follows lines.txt as it grows, for ever; SIGTERM parks it, and with segment.path the next start goes on.
#include "words.hpp"

class Follow {
 public:
  explicit Follow(sluice::Worker& worker)
      : worker_{worker}, at_{worker.state<std::uint64_t>("at")}, file_{"lines.txt"} {
    worker.declare_endless();  // A drain is its regular end.
  }
  sluice::SourceState operator()(sluice::Output<sluice::Bytes>& out) {
    file_.clear();
    file_.seekg(static_cast<std::streamoff>(*at_));
    std::string line;
    // A line without its newline is still being written.
    if (!std::getline(file_, line) || file_.eof()) {
      worker_.wait_for(std::chrono::milliseconds{20});
      return sluice::SourceState::nothing_now;
    }
    out.push(line);
    at_.edit() += line.size() + 1;
    return sluice::SourceState::more;
  }

 private:
  sluice::Worker& worker_;
  sluice::Recoverable<std::uint64_t> at_;
  std::ifstream file_;
};

class Number {
 public:
  explicit Number(sluice::Worker& worker)
      : next_{worker.state<std::uint64_t>("next", 1)}, file_{worker, "file", "numbered.txt"} {}
  void operator()(const sluice::Bytes& line) {
    file_.append(std::to_string(*next_) + " " + std::string{line.text()} + "\n");
    ++next_.edit();
  }

 private:
  sluice::Recoverable<std::uint64_t> next_;
  sluice::AppendFile file_;
};

int main(int argc, char** argv) {
  sluice::Pipeline pipeline{"numbered"};
  pipeline.source<Follow>("follow").to<Number>("number");
  return sluice::main(argc, argv, pipeline);
}

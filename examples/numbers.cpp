// SPDX-License-Identifier: Apache-2.0
// A program without an end of its own, for docs/guide/lifecycle.md: a source counts, a thousand numbers a second, and a
// stage writes them into the file numbers.txt. With --set segment.path=FILE it can be stopped and started again and
// again, and the file has every number once.
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include <sluice/sluice.hpp>

namespace {

class Count {
 public:
  explicit Count(sluice::Worker& worker) : next_{worker.state<std::uint64_t>("next")} {
    worker.declare_endless();
  }
  sluice::SourceState operator()(sluice::Output<std::uint64_t>& out) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
    out.push(*next_);
    ++next_.edit();
    return sluice::SourceState::more;
  }

 private:
  sluice::Recoverable<std::uint64_t> next_;
};

class Write {
 public:
  explicit Write(sluice::Worker& worker) : file_{worker, "numbers", "numbers.txt"} {}
  void operator()(const std::uint64_t& number) { file_.append(std::to_string(number) + "\n"); }
  void finish() { file_.append("end\n"); }  // Its last word: after a drain, and not after a park.

 private:
  sluice::AppendFile file_;
};

}  // namespace

int main(int argc, char** argv) {
  sluice::Pipeline pipeline{"numbers"};
  pipeline.source<Count>("count").to<Write>("write");
  return sluice::main(argc, argv, pipeline);
}

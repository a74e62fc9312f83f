// SPDX-License-Identifier: Apache-2.0
// A program around a pipeline, as sluice::main makes one: adds numbers, and reports a problem if the sum is
// wrong.
#include <cstdint>

#include <sluice/main.hpp>
#include <sluice/sluice.hpp>

namespace {

constexpr std::uint64_t kNumbers = 2'000'000;

class Numbers {
 public:
  explicit Numbers(sluice::Worker& worker) : made_{worker.state<std::uint64_t>("made")} {}
  bool operator()(sluice::Output<std::uint64_t>& out) {
    made_.set(*made_ + 1);
    out.push(*made_);
    return *made_ < kNumbers;
  }

 private:
  sluice::Recoverable<std::uint64_t> made_;
};

class Sum {
 public:
  explicit Sum(sluice::Worker& worker) : worker_{worker}, sum_{worker.state<std::uint64_t>("sum")} {}
  void operator()(const std::uint64_t& number) { sum_.set(*sum_ + number); }
  void finish() {
    if (*sum_ != kNumbers * (kNumbers + 1) / 2) worker_.report("the sum is wrong");
  }

 private:
  sluice::Worker& worker_;
  sluice::Recoverable<std::uint64_t> sum_;
};

}  // namespace

int main(int argc, char** argv) {
  sluice::Pipeline pipeline{"program"};
  pipeline.source<Numbers>("numbers").to<Sum>("sum");
  return sluice::main(argc, argv, pipeline);
}

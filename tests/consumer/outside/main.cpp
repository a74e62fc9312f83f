// SPDX-License-Identifier: Apache-2.0
// Adds numbers in two worker processes and says their sum: every part of the library is linked and runs.
#include <chrono>
#include <cstdint>
#include <cstdio>

#include <sluice/sluice.hpp>

class Sum {
 public:
  explicit Sum(sluice::Worker& worker) : sum_{worker.state<std::uint64_t>("sum")} {}
  void operator()(const std::uint64_t& number, sluice::Output<std::uint64_t>&) { sum_.edit() += number; }
  void finish(sluice::Output<std::uint64_t>& out) { out.push(*sum_); }

 private:
  sluice::Recoverable<std::uint64_t> sum_;
};

int main() {
  sluice::Pipeline pipeline{"outside"};
  pipeline.inlet<std::uint64_t>("numbers").to<Sum>("sum", {.workers = 2}).outlet("sums");
  sluice::Engine engine{pipeline};
  engine.start();
  auto numbers = engine.inlet<std::uint64_t>("numbers");
  for (std::uint64_t number = 1; number <= 1000; ++number)
    if (numbers.push(number) != sluice::PushResult::accepted) break;
  numbers.close();
  std::uint64_t sum = 0;
  auto sums = engine.outlet<std::uint64_t>("sums");
  while (!sums.ended()) {
    sums.wait(std::chrono::seconds{1});
    sums.poll([&sum](std::uint64_t part) { sum += part; });
  }
  engine.wait();
  std::printf("%llu\n", static_cast<unsigned long long>(sum));
  return sum == 500'500 ? 0 : 1;
}

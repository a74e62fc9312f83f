// SPDX-License-Identifier: Apache-2.0
// A pipeline inside of a shared object: it adds numbers in two worker processes, one of which is killed
// meanwhile.
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>

#include <sluice/sluice.hpp>

namespace {

constexpr std::uint64_t kNumbers = 30'000;

class Sum {
 public:
  explicit Sum(sluice::Worker& worker) : sum_{worker.state<std::uint64_t>("sum")} {}
  void operator()(const std::uint64_t& number, sluice::Output<std::uint64_t>&) { sum_.edit() += number; }
  void finish(sluice::Output<std::uint64_t>& out) { out.push(*sum_); }

 private:
  sluice::Recoverable<std::uint64_t> sum_;
};

// Nobody else calls it: what would be exported if the shared object wanted to.
std::uint64_t restarts_of(const sluice::Stats& stats) {
  std::uint64_t restarts = 0;
  for (const sluice::StageStats& stage : stats.stages)
    restarts += stage.restarts();
  return restarts;
}

bool adds_up() {
  sluice::Pipeline pipeline{"plugin"};
  pipeline.inlet<std::uint64_t>("numbers").to<Sum>("sum", {.workers = 2}).outlet("sums");
  sluice::Engine engine{pipeline};
  engine.start();
  auto numbers = engine.inlet<std::uint64_t>("numbers");
  bool killed = false;
  for (std::uint64_t number = 1; number <= kNumbers; ++number) {
    if (numbers.push(number) != sluice::PushResult::accepted) break;
    if (number == kNumbers / 2) killed = engine.signal_worker("sum/0", SIGKILL);
  }
  numbers.close();
  std::uint64_t sum = 0;
  auto sums = engine.outlet<std::uint64_t>("sums");
  while (!sums.ended()) {
    sums.wait(std::chrono::seconds{1});
    sums.poll([&sum](std::uint64_t part) { sum += part; });
  }
  engine.wait();
  const std::uint64_t restarts = restarts_of(engine.stats());
  std::printf("sum %llu, %llu restarts\n", static_cast<unsigned long long>(sum),
              static_cast<unsigned long long>(restarts));
  std::fflush(stdout);
  return killed && restarts >= 1 && sum == kNumbers * (kNumbers + 1) / 2;
}

}  // namespace

// 0 if the pipeline did what it must.
extern "C" __attribute__((visibility("default"))) int run_pipeline() {
  try {
    return adds_up() ? 0 : 1;
  } catch (const sluice::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}

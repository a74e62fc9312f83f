// SPDX-License-Identifier: Apache-2.0
// A suite program that ends in every way in which one can: which one the filter says.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <suite.hpp>
#include <unistd.h>

namespace {

void work(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state)
    benchmark::DoNotOptimize(state.iterations());
  state.SetItemsProcessed(state.iterations());
}

void add_all(const sluice::bench::Options& options) {
  using sluice::bench::add;
  add("ends/well", work)->Iterations(10);
  add("ends/baseline:plain", work)->Iterations(10);
  if (options.peers) add("ends/peer:other", work)->Iterations(10);
  add("fails/benchmark", [](benchmark::State& state) { state.SkipWithError("3 events were lost"); });
  add("fails/status", [](benchmark::State&) {
    std::fputs("there is no more memory\n", stderr);
    std::_Exit(3);
  });
  add("fails/signal", [](benchmark::State&) {
    std::signal(SIGSEGV, SIG_DFL);
    std::raise(SIGSEGV);
  });
  add("fails/to_end", [](benchmark::State&) {
    std::signal(SIGTERM, SIG_IGN);
    // A child that outlives its parent unless the whole group is ended.
    [[maybe_unused]] const pid_t child = ::fork();
    while (true)
      ::pause();
  });
}

}  // namespace

int main(int argc, char** argv) {
  return sluice::bench::run_suite(argc, argv, 0, add_all);
}

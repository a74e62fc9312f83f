#include "suite.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <sched.h>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sluice::bench {
namespace {

double seconds_of(const timeval& time) noexcept {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// This process and all of its descendants that were waited for.
double own_cpu_seconds() noexcept {
  double seconds = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    seconds += seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  }
  return seconds;
}

struct MachineTime {
  double busy_s = 0;  // Of all processing units together.
  double steal_s = 0;
};

MachineTime machine_time() {
  std::ifstream file{"/proc/stat"};
  std::string cpu;
  // user nice system idle iowait irq softirq steal
  std::array<std::uint64_t, 8> ticks{};
  file >> cpu;
  for (std::uint64_t& value : ticks)
    file >> value;
  const auto tick_s = 1.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  const std::uint64_t busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6];
  return {static_cast<double>(busy) * tick_s, static_cast<double>(ticks[7]) * tick_s};
}

// What other programs, and other guests of the hypervisor, took while this object lived.
class Disturbance {
 public:
  void report(benchmark::State& state) const {
    const MachineTime now = machine_time();
    const double own_s = own_cpu_seconds() - own_s_;
    const double elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const double all_s = elapsed_s * static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
    // The kernel looks at what a unit does once a tick, so its account may be a tick off on each; our own is
    // exact.
    const double tick_s = 1.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
    const double unsure_s = tick_s * static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
    const double others_s = now.busy_s - machine_.busy_s - own_s - unsure_s;
    state.counters["others_percent"] = 100 * std::max(0.0, others_s) / all_s;
    state.counters["steal_percent"] = 100 * (now.steal_s - machine_.steal_s) / all_s;
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double own_s_ = own_cpu_seconds();
  MachineTime machine_ = machine_time();
};

bool may_use_units(unsigned units) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ::sched_getaffinity(0, sizeof(allowed), &allowed);
  for (unsigned unit = 0; unit < units; ++unit) {
    if (!CPU_ISSET(unit, &allowed)) return false;
  }
  return true;
}

// Takes our own options out of the arguments.
Options take_options(std::vector<char*>& arguments) {
  Options options;
  std::erase_if(arguments, [&options](const char* argument) {
    const std::string_view text{argument};
    options.quick |= text == "--quick";
    options.peers |= text == "--peers";
    return text == "--quick" || text == "--peers";
  });
  return options;
}

}  // namespace

benchmark::internal::Benchmark* add(const std::string& name, Work work) {
#ifdef __clang_analyzer__  // It takes the registration, which the library keeps, for a leak.
  static_cast<void>(name);
  static_cast<void>(Work{std::move(work)});
  return nullptr;
#else
  return benchmark::RegisterBenchmark(name.c_str(),
                                      [work = std::move(work)](benchmark::State& state) {
                                        const Disturbance disturbance;
                                        try {
                                          work(state);
                                        } catch (const std::exception& error) {
                                          state.SkipWithError(error.what());
                                        }
                                        disturbance.report(state);
                                      })
      ->UseRealTime();
#endif
}

int run_suite(int argc, char** argv, unsigned units, void (*add_all)(const Options&)) {
  // Inherited ignored from some shells and supervisors: the kernel then keeps no account of children.
  std::signal(SIGCHLD, SIG_DFL);
  std::vector<char*> arguments{argv, argv + argc};
  const Options options = take_options(arguments);
  std::string repetitions = "--benchmark_repetitions=5";
  std::string interleaving = "--benchmark_enable_random_interleaving=true";
  std::string aggregates = "--benchmark_report_aggregates_only=true";
  std::string min_time = options.quick ? "--benchmark_min_time=0.01" : "--benchmark_min_time=0.1";
  // The program's own arguments come later and win.
  arguments.insert(arguments.begin() + 1,
                   {repetitions.data(), interleaving.data(), aggregates.data(), min_time.data()});
  auto count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  if (!may_use_units(units)) {
    std::fprintf(stderr,
                 "cannot run this suite: its sides need a processing unit of their own each, 0 to %u, and "
                 "not all of them are this process's to use (see taskset -p)\n",
                 units - 1);
    return kTooFewUnits;
  }
  add_all(options);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace sluice::bench

// SPDX-License-Identifier: Apache-2.0
// A pipeline of one stage whose handler does what each event tells it: spin, sleep, hang. And what a test
// needs to look on while it does.
#pragma once

#include <array>
#include <atomic>
#include <filesystem>
#include <new>
#include <optional>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <thread>
#include <unistd.h>

#include "processes.hpp"
#include "subjects.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {

enum class Deed : std::uint32_t {
  pass,
  spin_for,        // So many milliseconds of CPU time.
  sleep_for,       // So many milliseconds of wall time.
  spin_forever,    // The first time this event is handled; passed on the next.
  sleep_forever,   // As above.
  restless,        // Spins a little and sleeps a little, for ever; as above.
  threads_for,     // Each of three threads spins for so long, one after the other being started and joined.
  vfork_for,       // In state D for so many milliseconds.
  humble_spin_for  // As spin_for, but gives way to everybody else on the first processor.
};

struct Order {
  Deed deed = Deed::pass;
  std::uint32_t number = 0;
  std::uint32_t ms = 0;
  std::uint32_t reserved = 0;
  friend bool operator==(const Order&, const Order&) = default;
};

// Seen by the test and by all lives of the worker.
struct Diary {
  std::atomic<std::uint32_t> begun;                            // Events, counted whenever one is begun.
  std::array<std::atomic<std::int64_t>, 1024> first_begun_ns;  // By number; 0: not yet.
};

class SharedDiary {
 public:
  SharedDiary()
      : diary_{new (::mmap(nullptr, sizeof(Diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                   Diary{}} {}
  ~SharedDiary() { ::munmap(diary_, sizeof(Diary)); }
  SharedDiary(const SharedDiary&) = delete;
  SharedDiary& operator=(const SharedDiary&) = delete;
  Diary* get() const noexcept { return diary_; }
  Diary* operator->() const noexcept { return diary_; }

 private:
  Diary* diary_;
};

inline std::chrono::nanoseconds thread_cpu_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}

inline void spin_for(std::chrono::nanoseconds cpu_time) {
  const auto until = thread_cpu_time() + cpu_time;
  while (thread_cpu_time() < until) {
  }
}

[[gnu::noinline]] inline void restless_here() {
  while (true) {
    spin_for(500us);
    std::this_thread::sleep_for(500us);
  }
}

inline void humble_spin_for(std::chrono::nanoseconds cpu_time) {
  stay_on_the_first_processor();
  const sched_param none{};
  ::sched_setscheduler(0, SCHED_IDLE, &none);
  spin_for(cpu_time);
  ::sched_setscheduler(0, SCHED_OTHER, &none);
}

// A parent waits in state D until the child that it made with vfork() has ended.
inline void block_for(std::uint32_t ms) {
  const timespec time{ms / 1000, static_cast<long>(ms % 1000) * 1'000'000};
  const pid_t child = ::vfork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::nanosleep(&time, nullptr);
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
}

class Obedient {
 public:
  Obedient(Worker&, Diary* diary) : diary_{diary} {}

  void operator()(const Order& order, Output<Order>& out) {
    diary_->begun.fetch_add(1);
    auto& begun = diary_->first_begun_ns[order.number % diary_->first_begun_ns.size()];
    const bool first = begun.load() == 0;
    if (first) begun.store(std::chrono::steady_clock::now().time_since_epoch().count());
    const std::chrono::milliseconds time{order.ms};
    std::atomic<std::uint64_t> turns{0};
    switch (order.deed) {
      case Deed::pass:
        break;
      case Deed::spin_for:
        spin_for(time);
        break;
      case Deed::sleep_for:
        std::this_thread::sleep_for(time);
        break;
      case Deed::spin_forever:
        if (first) spins_here(turns);
        break;
      case Deed::sleep_forever:
        if (first) sleeps_here();
        break;
      case Deed::restless:
        if (first) restless_here();
        break;
      case Deed::threads_for:
        for (int i = 0; i < 3; ++i)
          std::thread{[time] { spin_for(time); }}.join();
        break;
      case Deed::vfork_for:
        block_for(order.ms);
        break;
      case Deed::humble_spin_for:
        humble_spin_for(time);
        break;
    }
    out.push(order);
  }

 private:
  Diary* diary_;
};

// A directory for the reports of a test, which is gone when the test is.
class WithReports : public WithProcesses {
 protected:
  WithReports() : reports_{testing::TempDir() + "reports-" + std::to_string(::getpid())} {
    clear_away(reports_);
  }
  ~WithReports() override { clear_away(reports_); }
  WithReports(const WithReports&) = delete;
  WithReports& operator=(const WithReports&) = delete;

  Settings reporting_settings() const {
    Settings settings = test_settings();
    settings.set("report.path", reports_);
    return settings;
  }
  // The lines about workers that stalled.
  std::vector<std::string> stalls() const {
    std::ifstream file{reports_ + "/deaths.jsonl"};
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) {
      if (line.find(R"("report":"stall")") != std::string::npos) lines.push_back(line);
    }
    return lines;
  }

  std::string reports_;
};

// The pipeline, running. `stage` is "obedient".
class Running {
 public:
  Running(const Settings& settings, unsigned workers = 1) : engine{make(diary.get(), workers), settings} {
    engine.start();
    inlet.emplace(engine.inlet<Order>("in"));
    outlet.emplace(engine, "out");
  }
  WorkerStats worker(unsigned replica = 0) const {
    return worker_of(engine, "obedient/" + std::to_string(replica));
  }
  bool shows(const std::string& verdict, std::chrono::nanoseconds within = kDeadline) const {
    return eventually([&] { return worker().verdict == verdict; }, within);
  }
  void push(Deed deed, std::uint32_t ms = 0) {
    EXPECT_EQ(inlet->push({deed, pushed++, ms, 0}), PushResult::accepted);
  }
  // Every event once and in order, if there is one worker.
  void expect_all_delivered_in_order() {
    inlet->close();
    ASSERT_TRUE(engine.wait_for(kDeadline));
    const std::vector<Order> all = outlet->all();
    ASSERT_EQ(all.size(), pushed);
    for (std::uint32_t i = 0; i < all.size(); ++i)
      ASSERT_EQ(all[i].number, i);
  }

  SharedDiary diary;
  Engine engine;
  std::optional<Inlet<Order>> inlet;
  std::optional<Collector<Order>> outlet;
  std::uint32_t pushed = 0;

 private:
  static Pipeline make(Diary* diary, unsigned workers) {
    Pipeline pipeline{"obedience"};
    pipeline.inlet<Order>("in").to<Obedient>("obedient", {.workers = workers}, diary).outlet("out");
    return pipeline;
  }
};

}  // namespace sluice::test

// SPDX-License-Identifier: Apache-2.0
// A pipeline whose worker keeps the rows in a table, with checkpoints as often as checkpoint.every says.
#include <algorithm>
#include <memory>
#include <span>
#include <thread>

#include <sluice/detail/clock.hpp>
#include <sluice/error.hpp>
#include <sluice/sluice.hpp>

#include "checkpoint_run.hpp"
#include "child_run.hpp"
#include "recovery_pipelines.hpp"

namespace sluice::bench {

using detail::monotonic_now;
namespace {

using namespace std::chrono_literals;

// Instead of the key of a row: what is asked, and answered in told().
constexpr std::uint64_t kAskedForOne = ~std::uint64_t{0};
constexpr std::uint64_t kAskedForAll = kAskedForOne - 1;

class Keep {
 public:
  Keep(Worker& worker, std::uint64_t rows)
      : count_{rows}, rows_{worker.table<std::uint64_t, Words>("rows", rows)} {}
  void operator()(const KeptRow& row) {
    if (row.key == kAskedForOne) {
      told().end(1, sum_of_row(0));
    } else if (row.key == kAskedForAll) {
      std::uint64_t sum = 0;
      for (std::uint64_t key = 0; key < count_; ++key)
        sum += sum_of_row(key);
      told().end(count_, sum);
    } else {
      rows_[row.key] = row.words;
    }
  }

 private:
  using Words = decltype(KeptRow::words);
  std::uint64_t sum_of_row(std::uint64_t key) const {
    const Words* words = rows_.find(key);
    return words == nullptr ? 0 : sum_of({key, *words});
  }

  std::uint64_t count_;
  Table<std::uint64_t, Words> rows_;
};

Pipeline keeping(std::uint64_t rows) {
  Pipeline pipeline{"checkpoints"};
  const StageOptions options{.workers = 1, .state_bytes = rows * 160 + (std::uint64_t{1} << 20)};
  pipeline.inlet<KeptRow>("changes").to<Keep>("keep", options, rows);
  return pipeline;
}

class Keeper {
 public:
  Keeper(const CheckpointRun& run, const std::filesystem::path& directory)
      : engine_{keeping(run.rows), settings_of(patient_.value(), directory)} {
    engine_.start();
    changes_ = std::make_unique<Inlet<KeptRow>>(engine_.inlet<KeptRow>("changes"));
  }
  void settle() const {
    await("that its memory is as it stays", [this] { return engine_.stats().memory.settled; });
  }
  void change(const std::vector<KeptRow>& rows) {
    push(rows);
    pushed_ += rows.size();
    await("the changes", [this] { return engine_.stats().stages.back().events_in() >= pushed_; });
  }
  // Until a checkpoint of an instant behind now is on the disk. The pause is the longest since `from`.
  CheckpointFigures::Round await_checkpoint(CheckpointStats& from) const {
    CheckpointFigures::Round round;
    const auto now = std::chrono::system_clock::now();
    await("a checkpoint", [&] {
      const CheckpointStats last = engine_.stats().checkpoints;
      if (last.written == from.written) return false;
      from = last;
      round.pause = std::max(round.pause, last.pause);
      round.durable = std::chrono::system_clock::now() - last.at.value_or(now);
      return last.at > now;
    });
    return round;
  }
  CheckpointStats checkpoints() const { return engine_.stats().checkpoints; }
  std::uint64_t ask(std::uint64_t what) {
    Told& answer = told();
    answer.last_ns.store(0);
    push({KeptRow{.key = what}});
    await("an answer", [&answer] { return answer.last_ns.load() != 0; });
    return answer.sum.load();
  }
  void park() { engine_.park(); }

 private:
  static Settings settings_of(Settings settings, const std::filesystem::path& directory) {
    settings.set("checkpoint.path", (directory / "checkpoints").string());
    settings.set("checkpoint.every", "50ms");
    return settings;
  }
  void push(const std::vector<KeptRow>& rows) {
    constexpr std::size_t kAtOnce = 256;
    const std::span<const KeptRow> all{rows};
    for (std::size_t at = 0; at < all.size(); at += kAtOnce) {
      if (changes_->push_batch(all.subspan(at, std::min(kAtOnce, all.size() - at))) != PushResult::accepted)
        throw Error{{"push into", "the pipeline of the bench", "it has ended", ""}};
    }
  }
  template <class Done>
  static void await(const char* what, Done done) {
    const auto until = monotonic_now() + 10s;
    while (!done()) {
      if (monotonic_now() > until) throw Error{{"wait for", what, "it took longer than 10 s", ""}};
      std::this_thread::sleep_for(200us);
    }
  }

  PatientSettings patient_;
  Engine engine_;
  std::unique_ptr<Inlet<KeptRow>> changes_;
  std::uint64_t pushed_ = 0;
};

}  // namespace

void checkpoints_by_sluice(const CheckpointRun& run, const std::filesystem::path& directory,
                           CheckpointFigures& figures) {
  Changes changes{run};
  {
    Keeper keeper{run, directory};
    keeper.change(changes.next());
    keeper.settle();
    CheckpointStats last = keeper.checkpoints();
    keeper.await_checkpoint(last);
    const std::uint64_t before = bytes_written_so_far();
    for (std::uint32_t round = 0; round < run.rounds; ++round) {
      keeper.change(changes.next());
      figures.add(keeper.await_checkpoint(last));
    }
    figures.written_bytes = bytes_written_so_far() - before;
    keeper.park();
  }
  const auto start = monotonic_now();
  Keeper keeper{run, directory};
  keeper.ask(kAskedForOne);
  figures.restored = monotonic_now() - start;
  const std::uint64_t sum = keeper.ask(kAskedForAll);
  figures.all_rows_had = monotonic_now() - start;
  if (sum != changes.sum())
    throw Error{
        {"restore", directory.string(), "the rows are not those of the checkpoint", "report it as a bug"}};
}

}  // namespace sluice::bench

// SPDX-License-Identifier: Apache-2.0
// The market demonstration on real captures with a named segment, or with checkpoints alone, as a user would run it: killed whole again
// and again, started again each time with the same command; no answer differs.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>

#include <gtest/gtest.h>

#include "programs.hpp"
#include "support/recorded_data.hpp"
#include "total_loss.hpp"

namespace {

namespace fs = std::filesystem;

// With checkpoints the memory is lost with the processes, as where the machine dies.
enum class Kept { segment, checkpoints };

std::string settings_of(Kept kept, const fs::path& place) {
  if (kept == Kept::segment) return " --set segment.path=" + place.string();
  return " --set checkpoint.path=" + place.string() + " --set checkpoint.every=5ms --set checkpoint.sync=no";
}

// Whether a start finds something to go on with.
bool is_kept(Kept kept, const fs::path& place) {
  if (kept == Kept::segment) return fs::exists(place);
  std::error_code gone;
  for (fs::directory_iterator entry{place, gone}, end; !gone && entry != end; entry.increment(gone)) {
    if (entry->path().extension() == ".base") return true;
  }
  return false;
}

class MarketAllAtOnce : public testing::TestWithParam<Kept> {};

TEST_P(MarketAllAtOnce, GivesTheSameAnswersHoweverOftenEverythingIsKilled) {
  const auto data = programs::real_data();
  if (!data && sluice::test::recorded_data() != nullptr) {
    FAIL() << "SLUICE_TEST_DATA is set, but holds no folder binance";
  }
  if (!data) GTEST_SKIP() << "no recorded captures; set SLUICE_TEST_DATA to the folder of the data";
  const fs::path captures = *data / "binance";
  const programs::TemporaryDirectory scratch;
  const Kept kept = GetParam();
  const fs::path place = scratch / "kept";
  const std::string arguments = "--input " + captures.string() + "/*.gz --out " +
                                programs::shell_word(scratch / "out") + settings_of(kept, place);
  const auto run = [&] {
    // What a run that is killed has lying about goes with the rest.
    ::setenv("TMPDIR", (scratch / "").c_str(), 1);
    const programs::Finished finished = programs::run_market(arguments);
    if (finished.status != 0) throw std::runtime_error{finished.output + finished.errors};
  };
  const std::uint64_t seed = std::random_device{}();
  std::mt19937_64 random{seed};
  constexpr int kMostLosses = 20;
  int losses = 0;
  bool ended = false;
  while (!ended && losses < kMostLosses) {
    total_loss::Host host{{}, run};
    // From when there is something to resume, if the start got that far in its life before.
    ASSERT_TRUE(
        total_loss::within(total_loss::kDeadline, [&] { return is_kept(kept, place) || host.ended(); }));
    ended = host.wait_for_end(std::chrono::microseconds{random() % 100'000});
    if (ended) {
      EXPECT_EQ(host.status(), 0);
    }
    host.kill(random() % 2 == 0);
    losses += ended ? 0 : 1;
  }
  if (!ended) {
    total_loss::Host host{{}, run};
    ASSERT_TRUE(host.wait_for_end(total_loss::kDeadline)) << "seed " << seed;
    EXPECT_EQ(host.status(), 0) << "seed " << seed;
    EXPECT_TRUE(host.gone());
  }
  std::cout << losses << " total losses, seed " << seed << "\n";
  EXPECT_FALSE(is_kept(kept, place)) << "it has come to its end";
  for (const std::string& file : programs::kAnswerFiles) {
    EXPECT_EQ(programs::content(scratch / "out" / file), programs::content(captures / "answers" / file))
        << file << ", seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(, MarketAllAtOnce, testing::Values(Kept::segment, Kept::checkpoints),
                         [](const auto& kept) {
                           return std::string{kept.param == Kept::segment ? "KeptInTheSegment"
                                                                          : "KeptInCheckpoints"};
                         });

}  // namespace

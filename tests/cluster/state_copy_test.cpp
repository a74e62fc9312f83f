// SPDX-License-Identifier: Apache-2.0
// Copies of a partition's chain on the disk of a host that does not run it: what is fetched on top of one is what is fetched
// without one, whatever the copy has gone through.

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>

#include "kill_count.hpp"
#include "state_log.hpp"
#include "with_server.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Files = std::map<std::string, std::string>;

constexpr std::size_t kLarge = 1'300'000;  // Three messages.

class StateCopies : public WithServer {
 protected:
  StateLogOptions options(const std::string& host = "a", unsigned partition = 3) const {
    StateLogOptions options;
    options.server.url = server_->url();
    options.cluster = "test";
    options.partition = partition;
    options.host = host;
    return options;
  }
  StateLog log(const std::string& host = "a", unsigned partition = 3) const {
    return StateLog{options(host, partition)};
  }
  StateLog claimed(std::uint64_t epoch, const std::string& host = "a", unsigned partition = 3) const {
    StateLog made = log(host, partition);
    made.claim(epoch);
    return made;
  }
  std::filesystem::path file(const std::string& end, std::size_t bytes, unsigned seed = 0,
                             const std::string& directory = {}) const {
    std::filesystem::path path = scratch_ / directory / ("checkpoint-0000000000" + end);
    std::minstd_rand random{seed + 1};
    std::string text(bytes, '\0');
    for (char& each : text)
      each = static_cast<char>(random());
    std::ofstream{path} << text;
    return path;
  }
  // A base and a delta of epoch 1, and a copy of them.
  void store_and_copy() {
    StateLog writer = claimed(1);
    writer.append(file("12.base", kLarge));
    writer.append(file("13.delta", 1000));
    copy();
  }
  std::filesystem::path copied() const { return scratch_ / "copied"; }
  // Until everything is there.
  FetchedState copy() const {
    FetchedState seen;
    log("b").follow(copied(), [&seen](const FetchedState& state) {
      seen = state;
      return false;
    });
    return seen;
  }
  static Files files_in(const std::filesystem::path& directory) {
    Files files;
    for (const auto& entry : std::filesystem::directory_iterator{directory}) {
      std::ifstream file{entry.path()};
      files[entry.path().filename().string()] = {std::istreambuf_iterator<char>{file}, {}};
    }
    return files;
  }
  // Without the list, which says where they are.
  static Files checkpoints_in(const std::filesystem::path& directory) {
    Files files = files_in(directory);
    files.erase("copied");
    return files;
  }
  // What is fetched on top of the copy is what anybody fetches.
  FetchedState fetch_on_top() const { return fetch_on_top_of(copied()); }
  FetchedState fetch_on_top_of(const std::filesystem::path& directory) const {
    const FetchedState fetched = log("b").fetch(directory);
    clear_away(scratch_ / "fresh");
    EXPECT_EQ(fetched, log("b").fetch(scratch_ / "fresh"));
    EXPECT_TRUE(checkpoints_in(directory) == checkpoints_in(scratch_ / "fresh"))
        << "other files than anybody has";
    return fetched;
  }
  // As the process of a partition does: it fetches what is there, and stores what its engine writes there.
  CheckpointShipper shipper_of(std::uint64_t epoch, const std::string& directory) const {
    StateLog claimer = claimed(epoch);
    const FetchedState fetched = claimer.fetch(scratch_ / directory);
    return state_log_shipper(options(), epoch, fetched.newest);
  }
  void ship(const CheckpointShipper& shipper, const std::string& end, std::size_t bytes,
            const std::string& directory, std::uint64_t whole_from = 0) const {
    shipper({.file = file(end, bytes, 0, directory), .whole_from = whole_from});
  }
};

TEST_F(StateCopies, AreGoneOnWith) {
  store_and_copy();
  EXPECT_EQ(fetch_on_top().copied, kLarge + 1000);
}

TEST_F(StateCopies, NeedOnlyWhatIsMissing) {
  store_and_copy();
  StateLog writer = claimed(2);
  writer.fetch(scratch_ / "own");
  writer.go_on_with(2, 13);
  writer.append(file("14.delta", 500));
  EXPECT_EQ(copy().copied, kLarge + 1000) << "one that goes on from a former one";
  writer.append(file("15.delta", 70));
  const FetchedState fetched = fetch_on_top();
  EXPECT_EQ(fetched.copied, kLarge + 1500);
  EXPECT_EQ(fetched.bytes, kLarge + 1570);
  EXPECT_EQ(fetched.newest, 15U);
}

TEST_F(StateCopies, HaveNothingThatIsNotStored) {
  store_and_copy();
  fetch_on_top();
  // Whoever runs the partition writes there, and what it writes need not be stored.
  std::filesystem::copy_file(copied() / "checkpoint-000000000013.delta",
                             copied() / "checkpoint-000000000014.delta");
  EXPECT_EQ(fetch_on_top().copied, kLarge + 1000);
}

TEST_F(StateCopies, AreWhatAHostHasStoredItself) {
  const CheckpointShipper first = shipper_of(1, "own");
  ship(first, "12.base", kLarge, "own");
  ship(first, "13.delta", 1000, "own");
  EXPECT_EQ(fetch_on_top_of(scratch_ / "own").copied, kLarge + 1000) << "of one that began";
  const CheckpointShipper second = shipper_of(2, "own");
  ship(second, "14.delta", 500, "own");
  EXPECT_EQ(fetch_on_top_of(scratch_ / "own").copied, kLarge + 1500) << "of one that went on";
}

// What was before the deltas that are a base is gone, at the server and from the list.
TEST_F(StateCopies, OfAChainThatWasRenewedAreGoneOnWith) {
  store_and_copy();
  const CheckpointShipper shipper = shipper_of(2, "own");
  for (const char* end : {"14.delta", "15.delta"})
    ship(shipper, end, 1000, "own");
  EXPECT_EQ(copy().files, 4U);
  ship(shipper, "16.delta", 700'000, "own", 15);
  for (const char* gone : {"12.base", "13.delta", "14.delta"})
    std::filesystem::remove(scratch_ / "own" / ("checkpoint-0000000000" + std::string{gone}));
  EXPECT_EQ(count_of(server_->url(), "SLUICE_test"), 3U) << "one part, and two";
  EXPECT_EQ(log("c").status()->bytes, 701'000U);
  EXPECT_EQ(copy(), (FetchedState{2, 701'000}));
  ship(shipper, "17.delta", 500, "own");
  for (const char* directory : {"copied", "own"}) {
    const FetchedState fetched = fetch_on_top_of(scratch_ / directory);
    EXPECT_EQ(fetched, (FetchedState{3, 701'500}));
    EXPECT_GE(fetched.copied, 701'000U) << directory;
  }
}

TEST_F(StateCopies, OfAFormerOwnerNeedWhatHasBeenStoredSince) {
  const CheckpointShipper former = shipper_of(1, "own");
  ship(former, "12.base", kLarge, "own");
  ship(former, "13.delta", 1000, "own");
  ship(shipper_of(2, "other"), "14.delta", 70, "other");
  // It goes on, and is refused; the file is there all the same, and another than that which is stored.
  EXPECT_THROW(ship(former, "14.delta", 900, "own"), Fenced);
  const FetchedState fetched = fetch_on_top_of(scratch_ / "own");
  EXPECT_EQ(fetched.copied, kLarge + 1000);
  EXPECT_EQ(fetched.bytes, kLarge + 1070);
}

TEST_F(StateCopies, OfAnOwnerWhoseBaseIsNotStoredAreNone) {
  const CheckpointShipper shipper = shipper_of(1, "own");
  ship(shipper, "12.base", kLarge, "own");
  // The engine removes what is before a base once that is published, and ships it then.
  file("14.base", kLarge, 7, "own");
  std::filesystem::remove(scratch_ / "own" / "checkpoint-000000000012.base");
  EXPECT_EQ(fetch_on_top_of(scratch_ / "own").copied, 0U);
}

// A delta is written down behind the one that it goes with, or not at all.
TEST_F(StateCopies, OfAnOwnerEndWhereItsListWasLost) {
  const CheckpointShipper shipper = shipper_of(1, "own");
  ship(shipper, "12.base", kLarge, "own");
  std::filesystem::remove(scratch_ / "own" / "copied");
  ship(shipper_of(2, "other"), "13.delta", 10, "other");
  const CheckpointShipper next = shipper_of(3, "own");
  ship(next, "14.delta", 500, "own");
  std::filesystem::resize_file(scratch_ / "own" / "copied",
                               std::filesystem::file_size(scratch_ / "own" / "copied") - 1);
  const CheckpointShipper last = state_log_shipper(options(), 3, 14);
  ship(last, "15.base", 50, "own");
  EXPECT_EQ(fetch_on_top_of(scratch_ / "own").copied, 50U);
}

TEST_F(StateCopies, OfAChainThatHasANewBaseAreNotUsed) {
  store_and_copy();
  StateLog writer = claimed(2);
  writer.append(file("14.base", 10, 7));
  EXPECT_EQ(fetch_on_top().copied, 0U);
}

TEST_F(StateCopies, OfAnotherServersChainAreNotUsed) {
  store_and_copy();
  // Of the same names and lengths, at the same sequences.
  delete_stream(server_->url(), "SLUICE_test");
  StateLog writer = claimed(1);
  writer.append(file("12.base", kLarge, 7));
  writer.append(file("13.delta", 1000, 7));
  EXPECT_EQ(fetch_on_top().copied, 0U);
}

TEST_F(StateCopies, OfAnotherPartitionAreNotUsed) {
  store_and_copy();
  StateLog writer = claimed(1, "a", 4);
  writer.append(file("12.base", 10));
  EXPECT_EQ(log("b", 4).fetch(copied()).copied, 0U);
  EXPECT_EQ(checkpoints_in(copied()).size(), 1U);
}

TEST_F(StateCopies, AreUsedAsFarAsTheyAreWhole) {
  const auto harmed = [this](const std::string& name, const std::function<void(std::fstream&)>& harm) {
    clear_away(copied());
    copy();
    std::fstream file{copied() / name, std::ios::in | std::ios::out | std::ios::binary};
    harm(file);
    file.close();
    return fetch_on_top().copied;
  };
  store_and_copy();
  const auto flip = [](std::fstream& file) {
    file.seekg(700);
    const int was = file.get();
    file.seekp(700);
    file.put(static_cast<char>(was ^ 1));
  };
  EXPECT_EQ(harmed("checkpoint-000000000012.base", flip), 0U);
  EXPECT_EQ(harmed("checkpoint-000000000013.delta", flip), kLarge);
  const auto lengthen = [](std::fstream& file) {
    file.seekp(0, std::ios::end);
    file.put('x');
  };
  EXPECT_EQ(harmed("checkpoint-000000000013.delta", lengthen), kLarge);
  EXPECT_EQ(harmed("copied", lengthen), kLarge + 1000) << "a line that is no line";
  const auto first_byte = [](std::fstream& file) { file.put('7'); };
  EXPECT_EQ(harmed("copied", first_byte), 0U);
  clear_away(copied());
  copy();
  std::filesystem::remove(copied() / "checkpoint-000000000013.delta");
  EXPECT_EQ(fetch_on_top().copied, kLarge);
}

// Of every length that a list can have after a power cut.
TEST_F(StateCopies, AreRightWhereverTheirListIsCut) {
  store_and_copy();
  const std::string list = files_in(copied()).at("copied");
  for (std::size_t length = 0; length < list.size(); length += 29) {
    clear_away(copied());
    copy();
    std::filesystem::resize_file(copied() / "copied", length);
    const std::uint64_t used = fetch_on_top().copied;
    EXPECT_TRUE(used == 0 || used == kLarge) << length << ": " << used;
  }
}

TEST_F(StateCopies, OfADamagedChainAreNoCopies) {
  store_and_copy();
  send_messages(server_->url(), "sluice.test.state.3", {"hello"});
  EXPECT_THROW(copy(), Error);
  EXPECT_EQ(files_in(copied()), Files{});
}

TEST_F(StateCopies, ThatOneWritesNoOtherWrites) {
  StateLog writer = claimed(1);
  writer.append(file("12.base", 10));
  std::string error = "none";
  log("b").follow(copied(), [&](const FetchedState&) {
    std::thread other{[&] {
      try {
        log("c").fetch(copied());
      } catch (const Error& refused) {
        error = refused.what();
      }
    }};
    other.join();
    return false;
  });
  EXPECT_THAT(error, HasSubstr("another process writes there"));
}

// This process has no connection of its own: libnats has threads, and those who are killed are its children.
TEST_F(StateCopies, AreRightWhereverTheyAreKilled) {
  if (has_used_libnats()) GTEST_SKIP() << "tests before it have used libnats in this process: run it alone";
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 dice{seed};
  std::uint64_t epoch = 1;
  // A server that makes the stream for two at once may close the connection of one.
  run_apart([&] {
    claimed(epoch);
    return std::string{};
  });
  unsigned number = 10;
  std::uint64_t reused = 0;
  const unsigned rounds = std::min(kills_asked(20), 80U);
  for (unsigned round = 0; round < rounds && !HasFailure(); ++round) {
    const pid_t follower = ::fork();
    if (follower == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      try {
        log("b").follow(copied(), [](const FetchedState&) { return true; });
      } catch (...) {
      }
      ::_exit(1);
    }
    const std::uint64_t pause = dice() % 30'000;
    const bool anew = round == 0 || dice() % 8 == 0;
    const std::size_t bytes = anew ? kLarge : 1 + dice() % 40'000;
    // Another owner of the partition each time, which goes on from where the last one was.
    run_apart([&] {
      StateLog writer = claimed(epoch + 1);
      writer.go_on_with(epoch + 1, anew ? 0 : number);
      writer.append(file(std::to_string(number + 1) + (anew ? ".base" : ".delta"), bytes, number));
      return std::string{};
    });
    ++epoch;
    ++number;
    std::this_thread::sleep_for(std::chrono::microseconds{pause});
    ::kill(follower, SIGKILL);
    int status = 0;
    ::waitpid(follower, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "it has ended by itself";
    if (round % 3 != 2) continue;
    reused += std::stoull(run_apart([&] {
      const std::uint64_t copied = fetch_on_top().copied;
      if (HasFailure()) throw std::runtime_error{"another state than anybody has"};
      return std::to_string(copied);
    }));
  }
  EXPECT_GT(reused, 0U);
}

}  // namespace
}  // namespace sluice::test

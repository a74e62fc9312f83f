// SPDX-License-Identifier: Apache-2.0
// A broken invariant aborts its process in a build with assertions, and says which and where; in a build without
// them its condition is not even evaluated.
#include <array>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include <sluice/detail/assert.hpp>
#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/lane.hpp>

#include "child.hpp"
#include "lane_fixture.hpp"

namespace sluice::ipc::test {
namespace {

// How a child that does this ends, and what it says on standard error.
struct Outcome {
  Ending ending;
  std::string text;
};

template <class Work>
Outcome outcome_of(Work work) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return {"no pipe", {}};
  Child child{[&] {
    ::dup2(ends[1], STDERR_FILENO);
    work();
    return 0;
  }};
  ::close(ends[1]);
  Outcome outcome{child.ending(), std::string(4096, '\0')};
  const ssize_t got = ::read(ends[0], outcome.text.data(), outcome.text.size());
  outcome.text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  ::close(ends[0]);
  return outcome;
}

TEST(Assertion, ThatHoldsSaysNothing) {
  const Outcome outcome = outcome_of([] { SLUICE_ASSERT(1 + 1 == 2); });
  EXPECT_EQ(outcome.ending, "exit 0");
  EXPECT_EQ(outcome.text, "");
}

#if SLUICE_ASSERTIONS

void expect_abort(const Outcome& outcome, const std::string& condition, const std::string& file) {
  EXPECT_EQ(outcome.ending, "signal 6");
  EXPECT_NE(outcome.text.find("sluice: a broken invariant: " + condition), std::string::npos) << outcome.text;
  EXPECT_NE(outcome.text.find(file + ":"), std::string::npos) << outcome.text;
  EXPECT_EQ(outcome.text.back(), '\n');
}

TEST(Assertion, ThatIsBrokenAbortsAndSaysWhichAndWhere) {
  const int sum = 4;
  expect_abort(outcome_of([&] { SLUICE_ASSERT(sum == 5); }), "sum == 5", "assertion_test.cpp");
}

TEST(Assertion, OfALaneStopsAProducerThatWritesBeyondItsRoom) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  expect_abort(outcome_of([&] { in.advance(8); }), "full_at_ - next_ <= memory_.capacity_bytes", "lane.hpp");
}

TEST(Assertion, OfALaneStopsATailThatGoesBack) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  push(in, std::uint64_t{1});
  in.publish();
  const auto go_back = [&] {
    LaneProducer late{lane.memory()};
    push(in, std::uint64_t{2});
    in.publish();
    late.publish();
  };
  expect_abort(outcome_of(go_back), "may_become_tail(next_)", "lane.hpp");
}

TEST(Assertion, OfALaneStopsAConsumerThatTakesWhatIsNotThere) {
  const TestLane lane;
  LaneConsumer out{lane.memory()};
  expect_abort(outcome_of([&] { out.advance(8); }), "bytes <= limit_ - next_", "lane.hpp");
}

struct ForAssertions {
  CommitHeader header{};
  UndoHeader undo{};
  std::array<RedoEntry, 2> record{};
  std::array<std::atomic<std::uint64_t>, 4> cursors{};
  std::array<std::byte, 256> entries{};
  std::array<std::byte, 64> state{};
  UndoLog log{undo, entries, state};
  Commit commit{header, record, cursors, log};
};

TEST(Assertion, OfACommitStopsARecordThatIsWrittenWhileOneIsNotApplied) {
  ForAssertions region;
  region.header.committed = 1;
  expect_abort(outcome_of([&] { region.commit.move(0, 1); }), "committed() == applied()", "commit.hpp");
}

TEST(Assertion, OfACommitStopsMoreCursorsThanTheRecordHolds) {
  ForAssertions region;
  const auto move_three = [&] {
    for (std::uint64_t word = 0; word < 3; ++word)
      region.commit.move(word, 1);
  };
  expect_abort(outcome_of(move_three), "count_ < record_.size()", "commit.hpp");
}

TEST(Assertion, OfTheUndoLogStopsANoteOfWhatIsNoState) {
  ForAssertions region;
  expect_abort(outcome_of([&] { region.log.note(region.state.data() + 60, 8); }),
               "lies_in_the_state(address, bytes)", "undo.hpp");
}

#else

TEST(Assertion, IsNotEvaluatedInABuildWithoutThem) {
  int evaluated = 0;
  const auto look = [&evaluated] { return ++evaluated == 0; };
  static_cast<void>(look);
  SLUICE_ASSERT(look());
  EXPECT_EQ(evaluated, 0);
}

#endif

}  // namespace
}  // namespace sluice::ipc::test

// SPDX-License-Identifier: Apache-2.0
// What becomes of the messages of a partition's log: whole files of one chain, or an Error.

#include "state_chain.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>

#include "client.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::HasSubstr;
using Files = std::map<std::string, std::string>;
constexpr const char* kSubject = "sluice.x.state.3";

class StateChains : public testing::Test {
 protected:
  StateChains() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-chain-XXXXXX").string();
    scratch_ = ::mkdtemp(name.data());
    chain_.emplace(directory(), kSubject);
  }
  ~StateChains() override { std::filesystem::remove_all(scratch_); }

  std::filesystem::path directory() const { return scratch_ / "checkpoints"; }

  void claim(std::uint64_t epoch) { take({.epoch = epoch, .host = "a", .writer = "w"}, ""); }
  void part(std::uint64_t epoch, const std::string& file, std::uint64_t part, std::uint64_t parts,
            const std::string& bytes) {
    take({.epoch = epoch,
          .host = "a",
          .writer = "w",
          .file = "checkpoint-0000000000" + file,
          .part = part,
          .parts = parts},
         bytes);
  }
  void whole(std::uint64_t epoch, const std::string& file, const std::string& bytes,
             std::uint64_t whole_from = 0) {
    take({.epoch = epoch,
          .host = "a",
          .writer = "w",
          .file = "checkpoint-0000000000" + file,
          .part = 1,
          .parts = 1,
          .whole_from = whole_from},
         bytes);
  }
  void close() { chain_.reset(); }
  void foreign() { chain_->take(std::nullopt, ++sequence_, {}); }

  FetchedState finish() { return chain_->finish("partition 3", "sluice.x.state.3"); }
  std::string error() {
    try {
      finish();
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }
  Files files() const {
    Files files;
    for (const auto& entry : std::filesystem::directory_iterator{directory()}) {
      std::ifstream file{entry.path()};
      files[entry.path().filename().string()] = {std::istreambuf_iterator<char>{file}, {}};
    }
    files.erase("copied");  // The list of them.
    return files;
  }

 private:
  void take(const StateMessage& message, const std::string& bytes) {
    chain_->take(message, ++sequence_, bytes);
  }

  std::filesystem::path scratch_;
  std::optional<StateChain> chain_;
  std::uint64_t sequence_ = 0;
};

const std::string kBase12 = "checkpoint-000000000012.base";
const std::string kDelta13 = "checkpoint-000000000013.delta";

TEST_F(StateChains, AreABaseAndItsDeltas) {
  claim(1);
  part(1, "12.base", 1, 3, "ab");
  part(1, "12.base", 2, 3, "cd");
  part(1, "12.base", 3, 3, "e");
  whole(1, "13.delta", "xy");
  EXPECT_EQ(finish(), (FetchedState{2, 7}));
  EXPECT_EQ(files(), (Files{{kBase12, "abcde"}, {kDelta13, "xy"}}));
}

TEST_F(StateChains, BeginAnewWithEachBase) {
  claim(1);
  whole(1, "10.base", "old");
  whole(1, "11.delta", "old");
  claim(2);
  whole(2, "12.base", "new");
  whole(2, "13.delta", "newer");
  EXPECT_EQ(finish(), (FetchedState{2, 8}));
  EXPECT_EQ(files(), (Files{{kBase12, "new"}, {kDelta13, "newer"}}));
}

TEST_F(StateChains, DoWithoutWhatWasNeverWhole) {
  whole(1, "12.base", "base");
  whole(1, "13.delta", "delta");
  part(1, "14.delta", 1, 2, "half");  // A death,
  claim(2);
  part(2, "15.base", 1, 2, "half");  // a failure,
  part(2, "16.base", 1, 3, "third");
  part(2, "16.base", 2, 3, "third");  // and a death.
  EXPECT_EQ(finish(), (FetchedState{2, 9}));
  EXPECT_EQ(files(), (Files{{kBase12, "base"}, {kDelta13, "delta"}}));
}

TEST_F(StateChains, MayBeEmpty) {
  claim(1);
  part(1, "12.base", 1, 2, "half");
  EXPECT_EQ(finish(), FetchedState{});
  EXPECT_EQ(files(), Files{});
}

TEST_F(StateChains, AreRefusedWhenAPartIsMissing) {
  whole(1, "12.base", "base");
  part(1, "13.delta", 1, 3, "a");
  part(1, "13.delta", 3, 3, "c");
  EXPECT_THAT(error(), testing::AllOf(HasSubstr("message 3"), HasSubstr("part 3"), HasSubstr("purge")));
  EXPECT_EQ(files(), (Files{{kBase12, "base"}}));
}

TEST_F(StateChains, AreRefusedWhenADeltaIsMissing) {
  whole(1, "12.base", "base");
  whole(1, "14.delta", "late");
  EXPECT_THAT(error(), HasSubstr("comes behind checkpoint-000000000012.base"));
}

TEST_F(StateChains, AreRefusedWithoutTheirBase) {
  whole(1, "13.delta", "delta");
  EXPECT_THAT(error(), HasSubstr("has no base"));
}

TEST_F(StateChains, AreRefusedWhenADeltaFollowsWhatWasGivenUp) {
  whole(1, "12.base", "base");
  part(1, "13.delta", 1, 2, "a");
  whole(1, "14.delta", "b");
  EXPECT_THAT(error(), HasSubstr("has no base"));
}

TEST_F(StateChains, AreRefusedWhenAStrangerWroteThere) {
  whole(1, "12.base", "base");
  foreign();
  whole(1, "13.delta", "delta");
  EXPECT_THAT(error(), HasSubstr("message 2"));
}

TEST_F(StateChains, GoOnWithADeltaBehindAClaim) {
  whole(1, "12.base", "base");
  part(1, "13.delta", 1, 2, "half");
  claim(2);
  claim(3);
  whole(3, "13.delta", "delta");
  EXPECT_EQ(finish(), (FetchedState{2, 9}));
  EXPECT_EQ(files(), (Files{{kBase12, "base"}, {kDelta13, "delta"}}));
}

TEST_F(StateChains, AreRefusedWhenADeltaBehindAClaimGoesWithAnother) {
  whole(1, "12.base", "base");
  claim(2);
  whole(2, "14.delta", "delta");
  EXPECT_THAT(error(), HasSubstr("comes behind checkpoint-000000000012.base"));
}

TEST_F(StateChains, AreRefusedWhenAnEpochThatIsOverGoesOn) {
  claim(1);
  whole(1, "12.base", "base");
  claim(2);
  whole(1, "13.delta", "zombie");
  EXPECT_THAT(error(), HasSubstr("epoch 1"));
}

TEST_F(StateChains, AreMendedByALaterBase) {
  part(1, "10.base", 1, 3, "a");
  part(1, "10.base", 3, 3, "c");
  whole(1, "11.delta", "lost");
  foreign();
  part(1, "12.base", 1, 2, "ba");
  part(1, "12.base", 2, 2, "se");
  whole(1, "13.delta", "delta");
  EXPECT_EQ(finish(), (FetchedState{2, 9}));
  EXPECT_EQ(files(), (Files{{kBase12, "base"}, {kDelta13, "delta"}}));
}

// Whose last one says so: what is before them goes, and may be gone already.
TEST_F(StateChains, BeginAnewWithDeltasThatAreABase) {
  claim(1);
  whole(1, "10.base", "old");
  whole(1, "11.delta", "old");
  whole(1, "12.delta", "a piece");
  EXPECT_EQ(files().size(), 3U);
  whole(1, "13.delta", "the last", 12);
  whole(1, "14.delta", "xy");
  EXPECT_EQ(finish(), (FetchedState{3, 17}));
  const Files wanted{{"checkpoint-000000000012.delta", "a piece"},
                     {kDelta13, "the last"},
                     {"checkpoint-000000000014.delta", "xy"}};
  EXPECT_EQ(files(), wanted);
  close();
  StateChain again{directory(), kSubject};
  EXPECT_EQ(again.finish("", ""), (FetchedState{3, 17})) << "its list says all of it";
  EXPECT_EQ(files(), wanted);
}

TEST_F(StateChains, AreWholeFromTheFirstDeltaThatIsThere) {
  whole(4, "12.delta", "a piece");
  whole(4, "13.delta", "the last", 12);
  claim(5);
  whole(5, "14.delta", "xy");
  EXPECT_EQ(finish(), (FetchedState{3, 17}));
}

// As for one who reads while others are removed.
TEST_F(StateChains, AreMendedByDeltasThatAreABase) {
  claim(1);
  whole(1, "10.base", "old");
  whole(1, "11.delta", "old");
  whole(2, "14.delta", "late");
  whole(2, "16.delta", "later");
  part(2, "17.delta", 1, 2, "a pi");
  part(2, "17.delta", 2, 2, "ece");
  whole(2, "18.delta", "the last", 16);
  EXPECT_EQ(finish(), (FetchedState{3, 20}));
  EXPECT_EQ(files().size(), 3U);
}

TEST_F(StateChains, AreNotMendedByDeltasOfWhichOneIsMissing) {
  whole(1, "10.delta", "a piece");
  whole(1, "12.delta", "the last", 10);
  EXPECT_THAT(error(), HasSubstr("has no base"));
}

TEST_F(StateChains, ReplaceWhatTheDirectoryHadAndLeaveTheRest) {
  for (const char* name : {"checkpoint-000000000099.base", "checkpoint-000000000100.delta.part", "notes"})
    std::ofstream{directory() / name} << "there before";
  close();
  StateChain chain{directory(), kSubject};
  EXPECT_EQ(chain.finish("", ""), FetchedState{});
  EXPECT_EQ(files(), (Files{{"notes", "there before"}}));
}

TEST(StateMessages, NameNothingButCheckpoints) {
  EXPECT_TRUE(parse_state_file_name(kBase12)->base);
  EXPECT_EQ(parse_state_file_name(kDelta13)->number, 13U);
  for (const char* name :
       {"", "checkpoint-12.base", "checkpoint-000000000012.base.part", "checkpoint-000000000012",
        "../checkpoint-000000000012.base", "checkpoint-00000000001x.base", "checkpoint-0000000000012.base"})
    EXPECT_FALSE(parse_state_file_name(name)) << name;
}

TEST(StateMessages, AreReadAsTheyWereWrittenAndNothingElseIs) {
  ASSERT_EQ(nats_Open(-1), NATS_OK);  // As a connection does.
  const auto made = [](const auto& fill) {
    natsMsg* message = nullptr;
    EXPECT_EQ(natsMsg_Create(&message, "s", nullptr, "", 0), NATS_OK);
    fill(message);
    const NatsMessagePtr owned{message};
    return read_state_message(message);
  };
  const StateMessage claim{.epoch = 7, .host = "a", .writer = "w", .stored = 99};
  const StateMessage part{
      .epoch = 7, .host = "a", .writer = "w", .file = kBase12, .part = 3, .parts = 12, .stored = 5};
  for (const StateMessage& one : {claim, part})
    EXPECT_EQ(made([&](natsMsg* message) { write_headers(message, one); }), one);
  EXPECT_EQ(made([](natsMsg*) {}), std::nullopt);
  using Changed = std::pair<const char*, const char*>;
  for (const Changed& changed :
       {Changed{"Sluice-Epoch", "7x"}, Changed{"Sluice-Host", "../a"},
        Changed{"Sluice-File", "../../etc/passwd"}, Changed{"Sluice-Part", "13/12"},
        Changed{"Sluice-Part", "0/1"}, Changed{"Sluice-Part", "3"}, Changed{"Sluice-Stored", ""}}) {
    EXPECT_EQ(made([&](natsMsg* message) {
                write_headers(message, part);
                natsMsgHeader_Set(message, changed.first, changed.second);
              }),
              std::nullopt)
        << changed.first << " " << changed.second;
  }
}

}  // namespace
}  // namespace sluice::test

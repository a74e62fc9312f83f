// SPDX-License-Identifier: Apache-2.0
// Records of bytes on their way through a pipeline, with and without a head, from nothing to all that a lane
// holds.

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "errors.hpp"
#include "pipelines.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

TEST(Records, OfEverySizeUpToTheLargestComeThroughUnchanged) {
  Pipeline pipeline{"records"};
  pipeline.inlet<Bytes>("in").to<EchoBytes>("echo").outlet("out");
  constexpr std::size_t kLargest = 4096 - 8;
  std::vector<std::string> texts;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{8}, std::size_t{9}, std::size_t{100},
        std::size_t{2044}, kLargest - 1, kLargest, std::size_t{0}}) {
    std::string text(size, ' ');
    for (std::size_t i = 0; i < size; ++i)
      text[i] = static_cast<char>('a' + (i + size) % 26);
    texts.push_back(text);
  }
  const std::vector<Bytes> events{texts.begin(), texts.end()};
  EXPECT_EQ(run_inline(pipeline, events, tiny_lanes()).events<Bytes>("out"), texts);
}

struct Head {
  std::uint64_t id;
  std::uint16_t kind;
};

struct Relabel {
  void operator()(const Record<Head>& record, Output<Record<Head>>& out) const {
    out.push(Head{record.head.id + 1, record.head.kind}, record.text());
  }
};

TEST(Records, KeepTheirHead) {
  Pipeline pipeline{"records"};
  pipeline.inlet<Record<Head>>("in").to<Relabel>("relabel").outlet("out");
  InlineRun run{pipeline};
  run.push("in", Record<Head>{{41, 7}, {}});
  run.push("in", Record<Head>{{1, 8}, std::as_bytes(std::span{"text", 4})});
  run.finish();
  const auto records = run.events<Record<Head>>("out");
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].head.id, 42U);
  EXPECT_EQ(records[0].body, "");
  EXPECT_EQ(records[1].head.kind, 8U);
  EXPECT_EQ(records[1].body, "text");
}

TEST(Records, LargerThanTheLaneAreAnErrorThatNamesTheSetting) {
  Pipeline pipeline{"records"};
  pipeline.inlet<Bytes>("in").to<EchoBytes>("echo").outlet("out");
  InlineRun run{pipeline, tiny_lanes()};
  const std::string text(4096 - 7, 'x');
  EXPECT_THAT(error_of([&] { run.push("in", Bytes{text}); }),
              AllOf(HasSubstr("lane.bytes"), HasSubstr("stage.echo.lane.bytes=8KiB")));
  run.push("in", Bytes{"small"});
  run.finish();
  EXPECT_THAT(run.events<Bytes>("out"), ElementsAre("small")) << "nobody gets what was refused";
}

TEST(Records, ThatOneStageCannotTakeReachNoOther) {
  Settings settings;
  settings.set("stage.narrow.lane.bytes", "4KiB");
  Pipeline pipeline{"records"};
  const auto in = pipeline.inlet<Bytes>("in");
  in.to<EchoBytes>("wide").outlet("from_wide");
  in.to<EchoBytes>("narrow").outlet("from_narrow");
  InlineRun run{pipeline, settings};
  const std::string text(5000, 'x');
  EXPECT_THROW(run.push("in", Bytes{text}), Error);
  run.push("in", Bytes{"small"});
  run.finish();
  EXPECT_THAT(run.events<Bytes>("from_wide"), ElementsAre("small"));
  EXPECT_THAT(run.events<Bytes>("from_narrow"), ElementsAre("small"));
}

}  // namespace
}  // namespace sluice::test

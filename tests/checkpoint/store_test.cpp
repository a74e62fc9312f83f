// SPDX-License-Identifier: Apache-2.0
// Checkpoints on the disk and back: what is written is what is restored, and what is kept is what was asked for.
#include <cstring>
#include <fstream>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <sluice/detail/checksum.hpp>
#include <sluice/error.hpp>

#include "model.hpp"

namespace sluice::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr CheckpointOptions kUnsynced{.keep = 1, .sync = false};

// The last four bytes of a frame of zstd are the low ones of the XXH64 of its content.
TEST(CheckpointChecksum, IsTheOneThatZstdUses) {
  std::mt19937 random{1};
  const std::unique_ptr<ZSTD_CCtx, decltype(&::ZSTD_freeCCtx)> zstd{::ZSTD_createCCtx(), &::ZSTD_freeCCtx};
  ::ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_checksumFlag, 1);
  std::vector<std::byte> frame(::ZSTD_compressBound(1000));
  for (std::size_t bytes = 1; bytes < 300; ++bytes) {
    std::vector<std::byte> content(bytes);
    std::generate(content.begin(), content.end(), [&random] { return static_cast<std::byte>(random()); });
    const std::size_t size =
        ::ZSTD_compress2(zstd.get(), frame.data(), frame.size(), content.data(), content.size());
    ASSERT_EQ(::ZSTD_isError(size), 0U);
    std::uint32_t theirs = 0;
    std::memcpy(&theirs, frame.data() + size - sizeof(theirs), sizeof(theirs));
    EXPECT_EQ(static_cast<std::uint32_t>(detail::checksum_of(content, 0)), theirs) << bytes << " bytes";
  }
  EXPECT_EQ(detail::checksum_of({}, 0), 0xef46db3751d8e999ULL) << "of the specification, all 64 bits";
  EXPECT_NE(detail::checksum_of({}, 1), detail::checksum_of({}, 2)) << "the seed counts";
}

TEST(CheckpointStore, GivesBackNothingWhereNothingIs) {
  const CheckpointDirectory directory;
  EXPECT_FALSE(detail::newest_checkpoint(directory.path().string()).found);
  EXPECT_FALSE(std::filesystem::exists(directory.path())) << "to look makes nothing";
  const CheckpointWriter writer{directory.path().string(), identity_of(4096), kUnsynced};
  EXPECT_TRUE(writer.wants_base());
  EXPECT_FALSE(detail::newest_checkpoint(directory.path().string()).found);
}

TEST(CheckpointStore, TellsWhatIsFound) {
  const CheckpointDirectory directory;
  CheckpointWriter writer{directory.path().string(), identity_of(4096), kUnsynced};
  SegmentModel model{4096, 1};
  const WrittenCheckpoint base = model.publish(writer, 1000);
  const WrittenCheckpoint delta = writer.write(CheckpointKind::delta, 77, {});
  EXPECT_EQ(base.number, 1U);
  EXPECT_EQ(delta.number, 2U);
  EXPECT_EQ(delta.raw_bytes, 0U);
  EXPECT_EQ(base.bytes, std::filesystem::file_size(directory.file(1, "base")));
  EXPECT_EQ(delta.bytes, std::filesystem::file_size(directory.file(2, "delta")));

  const CheckpointSearch search = detail::newest_checkpoint(directory.path().string());
  ASSERT_TRUE(search.found);
  EXPECT_THAT(search.passed_over, IsEmpty());
  EXPECT_EQ(search.found->number, 2U);
  EXPECT_EQ(search.found->time_ns, 77U);
  EXPECT_EQ(search.found->bytes, base.bytes + delta.bytes);
  EXPECT_EQ(search.found->raw_bytes, base.raw_bytes);
  EXPECT_EQ(search.found->identity.pipeline, "market");
  EXPECT_EQ(search.found->identity.version, "1.0");
  EXPECT_EQ(search.found->identity.run, identity_of(4096).run);
}

TEST(CheckpointStore, RestoresEveryStateThatWasPublished) {
  constexpr std::size_t kBytes = (std::size_t{1} << 20) + 300000;
  for (unsigned seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    const CheckpointDirectory directory;
    SegmentModel model{kBytes, seed};
    for (int life = 0; life < 2; ++life) {
      // Pieces beyond a chunk, and so small that a chunk has more than it may.
      const std::size_t most_bytes = life == 0 ? kBytes : 500;
      CheckpointWriter writer{directory.path().string(), identity_of(kBytes), kUnsynced};
      for (int i = 0; i < 4; ++i) {
        const std::uint64_t number = model.publish(writer, most_bytes).number;
        EXPECT_EQ(number_restored(directory.path(), model.published()), number);
      }
    }
  }
}

TEST(CheckpointStore, RestoresToWhereverItsBytesBelong) {
  constexpr std::size_t kBytes = (std::size_t{1} << 20) + 300000;
  constexpr std::size_t kHalf = kBytes / 2 + 1000;
  for (const std::size_t most_bytes : {std::size_t{700}, kBytes}) {
    const CheckpointDirectory directory;
    CheckpointWriter writer{directory.path().string(), identity_of(kBytes), kUnsynced};
    SegmentModel model{kBytes, 9};
    for (int i = 0; i < 3; ++i)
      model.publish(writer, most_bytes);
    const CheckpointSearch search = detail::newest_checkpoint(directory.path().string());
    // The second half stands elsewhere, and of the first one 100 bytes are wanted.
    Image few(100, kUntouched);
    Image second(kBytes - kHalf, kUntouched);
    detail::restore(*search.found, [&](std::uint64_t offset, std::size_t bytes) -> detail::CheckpointPlace {
      if (offset >= kHalf) return {second.data() + (offset - kHalf), bytes};
      const std::size_t until_half = std::min(bytes, kHalf - offset);
      if (offset >= 600) return {nullptr, until_half};
      if (offset < 500) return {nullptr, std::min<std::size_t>(bytes, 500 - offset)};
      return {few.data() + (offset - 500), std::min<std::size_t>(bytes, 600 - offset)};
    });
    EXPECT_TRUE(std::equal(few.begin(), few.end(), model.now().begin() + 500));
    EXPECT_TRUE(std::equal(second.begin(), second.end(), model.now().begin() + kHalf));
  }
}

TEST(CheckpointStore, WantsABaseWhenTheDeltasAreAsLargeAsIt) {
  const CheckpointDirectory directory;
  CheckpointWriter writer{directory.path().string(), identity_of(65536), kUnsynced};
  SegmentModel model{65536, 1};
  const std::uint64_t base = writer.write(CheckpointKind::base, 1, model.everything(65536)).bytes;
  std::uint64_t deltas = 0;
  while (!writer.wants_base())
    deltas += writer.write(CheckpointKind::delta, 1, model.change(3, 4000)).bytes;
  EXPECT_GE(deltas, base);
  writer.write(CheckpointKind::base, 1, model.everything(65536));
  EXPECT_FALSE(writer.wants_base());
}

TEST(CheckpointStore, WantsABaseWhenTheDeltasAreTooMany) {
  const CheckpointDirectory directory;
  CheckpointWriter writer{directory.path().string(), identity_of(65536), kUnsynced};
  Image noise(65536);
  std::mt19937 random{1};
  std::generate(noise.begin(), noise.end(), [&random] { return static_cast<std::byte>(random()); });
  const std::vector<Extent> all{{0, noise}};
  writer.write(CheckpointKind::base, 1, all);
  unsigned count = 0;
  for (; !writer.wants_base(); ++count)
    writer.write(CheckpointKind::delta, 1, {});
  EXPECT_EQ(count, 256U);
}

TEST(CheckpointStore, WritesNoDeltaWithoutItsBase) {
  const CheckpointDirectory directory;
  CheckpointWriter writer{directory.path().string(), identity_of(4096), kUnsynced};
  EXPECT_THROW(writer.write(CheckpointKind::delta, 1, {}), Error);
}

TEST(CheckpointStore, RefusesBytesTwiceAndBeyondTheSegment) {
  const CheckpointDirectory directory;
  CheckpointWriter writer{directory.path().string(), identity_of(4096), kUnsynced};
  const Image bytes(100);
  for (const std::uint64_t offset : {std::uint64_t{3997}, ~std::uint64_t{0}}) {
    const std::vector<Extent> extents{{offset, bytes}};
    EXPECT_THROW(writer.write(CheckpointKind::base, 1, extents), Error);
  }
  const std::vector<Extent> twice{{500, bytes}, {599, bytes}};
  EXPECT_THROW(writer.write(CheckpointKind::base, 1, twice), Error);
  const std::vector<Extent> last{{500, bytes}, {600, {}}, {600, bytes}, {3996, bytes}};
  EXPECT_EQ(writer.write(CheckpointKind::base, 1, last).number, 4U);
  EXPECT_THAT(directory.names(), ElementsAre("checkpoint-000000000004.base"));
}

TEST(CheckpointStore, KeepsTheLastBaseAndWhatGoesWithIt) {
  const CheckpointDirectory directory;
  CheckpointWriter writer{directory.path().string(), identity_of(4096), kUnsynced};
  writer.write(CheckpointKind::base, 1, {});
  writer.write(CheckpointKind::delta, 1, {});
  EXPECT_THAT(directory.names(),
              ElementsAre("checkpoint-000000000001.base", "checkpoint-000000000002.delta"));
  writer.write(CheckpointKind::base, 1, {});
  writer.write(CheckpointKind::delta, 1, {});
  EXPECT_THAT(directory.names(),
              ElementsAre("checkpoint-000000000003.base", "checkpoint-000000000004.delta"));
}

TEST(CheckpointStore, KeepsAsManyAsItIsTold) {
  const CheckpointDirectory directory;
  CheckpointWriter writer{directory.path().string(), identity_of(4096), {.keep = 3, .sync = false}};
  writer.write(CheckpointKind::base, 1, {});
  writer.write(CheckpointKind::delta, 1, {});
  writer.write(CheckpointKind::base, 1, {});
  writer.write(CheckpointKind::delta, 1, {});
  EXPECT_THAT(directory.names(), testing::SizeIs(4)) << "3 and 4, and 1 and 2 for the third";
  writer.write(CheckpointKind::delta, 1, {});
  EXPECT_THAT(directory.names(), ElementsAre("checkpoint-000000000003.base", "checkpoint-000000000004.delta",
                                             "checkpoint-000000000005.delta"));
}

TEST(CheckpointStore, CountsThoseOfAnEarlierLifeOnlyIfTheyAreWhole) {
  const CheckpointDirectory directory;
  const auto a_life = [&directory](unsigned keep) {
    CheckpointWriter writer{directory.path().string(), identity_of(4096), {.keep = keep, .sync = false}};
    writer.write(CheckpointKind::base, 1, {});
  };
  a_life(9);
  a_life(9);
  a_life(9);
  std::filesystem::resize_file(directory.file(3, "base"), 50);
  a_life(2);
  EXPECT_THAT(directory.names(), ElementsAre("checkpoint-000000000002.base", "checkpoint-000000000003.base",
                                             "checkpoint-000000000004.base"))
      << "3 is not whole, and is removed with 2, which is needed";
  a_life(1);
  EXPECT_THAT(directory.names(), ElementsAre("checkpoint-000000000005.base"));
}

TEST(CheckpointStore, RemovesAllAtTheEnd) {
  const CheckpointDirectory directory;
  detail::remove_checkpoints(directory.path().string(), "market");
  {
    CheckpointWriter writer{directory.path().string(), identity_of(4096), {.keep = 9, .sync = true}};
    for (int i = 0; i < 3; ++i) {
      writer.write(CheckpointKind::base, 1, {});
      writer.write(CheckpointKind::delta, 1, {});
    }
    EXPECT_THROW(detail::remove_checkpoints(directory.path().string(), "market"), Error) << "it is at work";
  }
  std::ofstream{directory.path() / "note"} << "somebody else's";
  std::ofstream{directory.path() / "checkpoint-000000000009.base.part"} << "a dead writer's";
  EXPECT_THROW(detail::remove_checkpoints(directory.path().string(), "bank"), Error);
  detail::remove_checkpoints(directory.path().string(), "market");
  EXPECT_THAT(directory.names(), ElementsAre("note"));
}

}  // namespace
}  // namespace sluice::test

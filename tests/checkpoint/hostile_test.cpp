// SPDX-License-Identifier: Apache-2.0
// Files whose checksums are right and that say what cannot be: no byte outside the segment is written, and nothing is
// believed that the rest of the file does not bear out.
#include <fstream>
#include <functional>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>

#include "model.hpp"
#include "seal.hpp"

namespace sluice::test {
namespace {

using detail::ChunkHead;
using detail::FileHead;
using detail::Piece;
using detail::Totals;
using testing::HasSubstr;

constexpr std::size_t kHostileBytes = 200;

// A base of two pieces in one chunk.
class CheckpointHostile : public ::testing::Test {
 protected:
  CheckpointHostile() {
    CheckpointWriter writer{
        directory_.path().string(), identity_of(kHostileBytes), {.keep = 1, .sync = false}};
    const Image bytes(60, std::byte{5});
    const std::vector<Extent> extents{{10, bytes}, {100, bytes}};
    writer.write(CheckpointKind::base, 1, extents);
    std::ostringstream content;
    content << std::ifstream{directory_.file(1, "base"), std::ios::binary}.rdbuf();
    content_ = content.str();
    chunk_at_ = sizeof(FileHead) + std::string{"market1.0"}.size() + sizeof(detail::Checksum);
    end_at_ = content_.size() - sizeof(detail::Checksum) - sizeof(Totals) - sizeof(ChunkHead);
  }

  // Why the file is not accepted after that change of the part that begins there; nothing if it is.
  template <class Part>
  std::string after(std::size_t at, const std::function<void(Part&)>& change) {
    std::string content = content_;
    Part part;
    std::memcpy(&part, content.data() + at, sizeof(part));
    change(part);
    std::memcpy(content.data() + at, &part, sizeof(part));
    return after(content);
  }
  std::string after(std::string content) {
    seal(std::as_writable_bytes(std::span{content}));
    std::ofstream{directory_.file(1, "base"), std::ios::binary | std::ios::trunc} << content;
    const CheckpointSearch search = detail::newest_checkpoint(directory_.path().string());
    if (!search.found) return search.passed_over.front();
    // Its own size says where a sanitizer, or a page without rights, would see a byte too far.
    Image segment(search.found->identity.segment_bytes);
    try {
      detail::restore(*search.found, segment);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  std::string after_chunk(const std::function<void(ChunkHead&)>& change) { return after(chunk_at_, change); }
  std::string after_piece(std::size_t number, const std::function<void(Piece&)>& change) {
    return after(chunk_at_ + sizeof(ChunkHead) + number * sizeof(Piece), change);
  }

  CheckpointDirectory directory_;
  std::string content_;
  std::size_t chunk_at_ = 0;
  std::size_t end_at_ = 0;
};

TEST_F(CheckpointHostile, IsSealedAsTheWriterDoes) {
  std::string sealed = content_;
  seal(std::as_writable_bytes(std::span{sealed}));
  EXPECT_EQ(sealed, content_);
  EXPECT_EQ(after(content_), "");
}

TEST_F(CheckpointHostile, APieceBeyondTheSegmentIsRefused) {
  const std::string beyond = "it has bytes twice, or beyond the segment";
  for (const std::uint64_t offset :
       {std::uint64_t{141}, std::uint64_t{200}, std::uint64_t{201}, ~std::uint64_t{0} - 30})
    EXPECT_THAT(after_piece(1, [=](Piece& piece) { piece.offset = offset; }), HasSubstr(beyond)) << offset;
  EXPECT_THAT(after_piece(1, [](Piece& piece) { piece.offset = 69; }), HasSubstr(beyond)) << "twice";
  EXPECT_EQ(after_piece(1, [](Piece& piece) { piece.offset = 140; }), "") << "the last that fits";
  EXPECT_THAT(after<FileHead>(0, [](FileHead& head) { head.segment_bytes = 159; }), HasSubstr(beyond));
}

TEST_F(CheckpointHostile, LengthsThatDoNotAgreeAreRefused) {
  const std::string length = "a chunk has another length than it says";
  EXPECT_THAT(after_piece(1, [](Piece& piece) { piece.bytes = 59; }), HasSubstr(length));
  EXPECT_THAT(after_piece(1, [](Piece& piece) { piece.bytes = 61; }), HasSubstr("bytes twice, or beyond"));
  EXPECT_THAT(after_piece(1, [](Piece& piece) { piece.bytes = ~std::uint64_t{0}; }),
              HasSubstr("bytes twice, or beyond"));
  EXPECT_THAT(after_chunk([](ChunkHead& chunk) { chunk.raw_bytes = 119; }),
              HasSubstr("bytes twice, or beyond"));
  EXPECT_THAT(after_chunk([](ChunkHead& chunk) { chunk.raw_bytes = 121; }), HasSubstr(length));
  EXPECT_THAT(after_chunk([](ChunkHead& chunk) { chunk.stored_bytes -= 1; }), HasSubstr("it "));
  EXPECT_THAT(after_chunk([](ChunkHead& chunk) { chunk.stored_bytes = ~0U; }),
              HasSubstr("it is damaged at byte"));
  EXPECT_THAT(after_chunk([](ChunkHead& chunk) { chunk.raw_bytes = ~0U; }),
              HasSubstr("it is damaged at byte"));
  EXPECT_THAT(after_chunk([](ChunkHead& chunk) { chunk.pieces = ~0U; }), HasSubstr("it is damaged at byte"));
}

TEST_F(CheckpointHostile, AnUnknownPartIsRefused) {
  EXPECT_THAT(after_chunk([](ChunkHead& chunk) { chunk.kind = detail::ChunkKind{3}; }),
              HasSubstr("of an unknown kind"));
  EXPECT_THAT(after_chunk([](ChunkHead& chunk) { chunk.kind = detail::ChunkKind::end; }),
              HasSubstr("its end is damaged"));
}

TEST_F(CheckpointHostile, AnEndThatDoesNotFitIsRefused) {
  const auto after_end = [this](const std::function<void(Totals&)>& change) {
    return after(end_at_ + sizeof(ChunkHead), change);
  };
  const std::string does_not_fit = "it does not hold what its end says";
  EXPECT_THAT(after_end([](Totals& totals) { ++totals.chunks; }), HasSubstr(does_not_fit));
  EXPECT_THAT(after_end([](Totals& totals) { --totals.raw_bytes; }), HasSubstr(does_not_fit));
  EXPECT_THAT(after_end([](Totals& totals) { ++totals.file_bytes; }), HasSubstr(does_not_fit));
  EXPECT_THAT(after(content_.substr(0, end_at_)), HasSubstr("it is cut off"));
  EXPECT_THAT(after(content_.substr(0, chunk_at_) + content_.substr(end_at_)), HasSubstr(does_not_fit))
      << "a chunk is left out";
}

TEST_F(CheckpointHostile, AHeadThatCannotBeIsRefused) {
  const auto after_head = [this](const std::function<void(FileHead&)>& change) { return after(0, change); };
  EXPECT_THAT(after_head([](FileHead& head) { head.base = 0; }), HasSubstr("says what cannot be"));
  EXPECT_THAT(after_head([](FileHead& head) { head.kind = CheckpointKind::delta; }),
              HasSubstr("says what cannot be"));
  EXPECT_THAT(after_head([](FileHead& head) { head.kind = CheckpointKind{3}; }),
              HasSubstr("says what cannot be"));
  EXPECT_THAT(after_head([](FileHead& head) { head.pipeline_bytes = ~0U; }),
              HasSubstr("its head is damaged"));
  EXPECT_THAT(after_head([](FileHead& head) { head.number = 2; }), HasSubstr("says what cannot be"));
}

// Only bytes that were decompressed can tell.
TEST_F(CheckpointHostile, AFrameThatCannotBeReadIsNotRestored) {
  const std::size_t frame_at = chunk_at_ + sizeof(ChunkHead) + 2 * sizeof(Piece);
  unsigned refused = 0;
  for (std::size_t at = frame_at; at + sizeof(detail::Checksum) < end_at_; ++at) {
    std::string content = content_;
    content[at] = static_cast<char>(content[at] ^ 0x55);
    refused += after(content).empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 5U)
      << "other bytes than those that were written are not found out without their checksum";
}

}  // namespace
}  // namespace sluice::test

// SPDX-License-Identifier: Apache-2.0
// Files that are torn, cut, changed, renamed or somebody else's: none is accepted, and the newest whole chain is.
#include <cstring>
#include <fstream>
#include <span>
#include <sstream>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/detail/checksum.hpp>
#include <sluice/error.hpp>

#include "checkpoint/checkpoint_format.hpp"
#include "model.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::size_t kDamagedBytes = 300;

std::string content_of(const fs::path& path) {
  std::ostringstream content;
  content << std::ifstream{path, std::ios::binary}.rdbuf();
  return content.str();
}

void set_content(const fs::path& path, const std::string& content) {
  std::ofstream{path, std::ios::binary | std::ios::trunc} << content;
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
}

void set_byte(const fs::path& path, std::size_t at, char byte) {
  std::fstream file{path, std::ios::binary | std::ios::in | std::ios::out};
  file.seekp(static_cast<std::streamoff>(at)).put(byte);
}

// Two chains of three, from one writer: 1 2 3, 4 5 6.
class CheckpointDamage : public ::testing::Test {
 protected:
  CheckpointDamage() {
    CheckpointWriter writer{
        directory_.path().string(), identity_of(kDamagedBytes), {.keep = 6, .sync = false}};
    for (int chain = 0; chain < 2; ++chain) {
      write_base(writer);
      for (int i = 0; i < 2; ++i)
        model_.publish(writer, 20);
    }
    EXPECT_EQ(restored_number(), 6U);
    for (std::uint64_t number = 1; number <= 6; ++number)
      files_.push_back({directory_.file(number, number % 3 == 1 ? "base" : "delta"), {}});
    for (auto& [path, content] : files_)
      content = content_of(path);
  }

  void write_base(CheckpointWriter& writer) {
    const std::uint64_t number = writer.write(CheckpointKind::base, 1, model_.everything(100)).number;
    published_[number] = model_.now();
  }
  std::uint64_t restored_number() {
    for (const auto& [number, image] : model_.published())
      published_[number] = image;
    return number_restored(directory_.path(), published_);
  }
  // What is found is said, too.
  std::string first_passed_over() const {
    const CheckpointSearch search = detail::newest_checkpoint(directory_.path().string());
    return search.passed_over.empty() ? "" : search.passed_over.front();
  }

  CheckpointDirectory directory_;
  SegmentModel model_{kDamagedBytes, 5};
  std::map<std::uint64_t, Image> published_;
  struct File {
    fs::path path;
    std::string content;
  };
  std::vector<File> files_;
};

// The newest that is left when the file of that number is not whole.
constexpr std::uint64_t left_without(std::uint64_t number) {
  return number == 4 ? 3 : number < 4 ? 6 : number - 1;
}

TEST_F(CheckpointDamage, CutAtAnyByteIsRefused) {
  for (std::uint64_t number = 4; number <= 6; ++number) {
    const File& file = files_[number - 1];
    for (std::size_t bytes = 0; bytes < file.content.size(); ++bytes) {
      set_content(file.path, file.content.substr(0, bytes));
      ASSERT_EQ(restored_number(), left_without(number)) << number << " cut after " << bytes;
    }
    set_content(file.path, file.content);
  }
  EXPECT_EQ(restored_number(), 6U);
}

TEST_F(CheckpointDamage, AnyBitThatIsFlippedIsFound) {
  for (std::uint64_t number = 4; number <= 6; ++number) {
    const File& file = files_[number - 1];
    for (std::size_t bit = 0; bit < file.content.size() * 8; ++bit) {
      set_byte(file.path, bit / 8, static_cast<char>(file.content[bit / 8] ^ (1 << (bit % 8))));
      ASSERT_EQ(restored_number(), left_without(number)) << number << " with bit " << bit;
      set_byte(file.path, bit / 8, file.content[bit / 8]);
    }
  }
}

TEST_F(CheckpointDamage, BytesBehindTheEndAreRefused) {
  for (std::uint64_t number = 4; number <= 6; ++number) {
    const File& file = files_[number - 1];
    for (const std::string& more : {std::string(1, '\0'), file.content}) {
      set_content(file.path, file.content + more);
      EXPECT_EQ(restored_number(), left_without(number));
      EXPECT_THAT(first_passed_over(), HasSubstr("stand behind its end"));
    }
    set_content(file.path, file.content);
  }
}

TEST_F(CheckpointDamage, ZerosInThePlaceOfAnyPageAreFound) {
  for (std::uint64_t number = 4; number <= 6; ++number) {
    const File& file = files_[number - 1];
    for (std::size_t begin = 0; begin < file.content.size(); begin += 64) {
      std::string content = file.content;
      std::fill_n(content.begin() + static_cast<std::ptrdiff_t>(begin),
                  std::min<std::size_t>(64, content.size() - begin), '\0');
      set_content(file.path, content);
      EXPECT_EQ(restored_number(), left_without(number)) << number << " with zeros at " << begin;
    }
    set_content(file.path, file.content);
  }
}

TEST_F(CheckpointDamage, ARenamedFileIsNotWhatItsNameSays) {
  fs::rename(files_[5].path, directory_.file(7, "delta"));
  EXPECT_EQ(restored_number(), 5U);
  EXPECT_THAT(first_passed_over(), HasSubstr("checkpoint-000000000007.delta: number 6, which it needs"));
  fs::rename(directory_.file(7, "delta"), directory_.file(6, "base"));
  EXPECT_EQ(restored_number(), 5U);
  EXPECT_THAT(first_passed_over(), HasSubstr("its name and its head do not agree"));
  fs::rename(files_[0].path, directory_.file(9, "base"));
  EXPECT_EQ(restored_number(), 5U);
  EXPECT_THAT(first_passed_over(), HasSubstr("its head says that it is number 1"));
}

TEST_F(CheckpointDamage, SwappedDeltasAreRefused) {
  set_content(files_[4].path, files_[5].content);
  set_content(files_[5].path, files_[4].content);
  EXPECT_EQ(restored_number(), 4U);
}

TEST_F(CheckpointDamage, ABrokenDeltaEndsItsChain) {
  set_content(files_[4].path, "");
  EXPECT_EQ(restored_number(), 4U);
  EXPECT_EQ(first_passed_over(),
            "checkpoint-000000000005.delta: it is cut off after 0 bytes; 1 more delta is lost with it");
  fs::remove(files_[4].path);
  EXPECT_EQ(restored_number(), 4U);
  EXPECT_THAT(first_passed_over(), HasSubstr("number 5, which it needs, is not there"));
}

TEST_F(CheckpointDamage, DeltasWithoutTheirBaseArePassedOver) {
  fs::remove(files_[3].path);
  EXPECT_EQ(restored_number(), 3U);
  fs::remove(files_[0].path);
  EXPECT_EQ(restored_number(), 0U);
  EXPECT_EQ(first_passed_over(),
            "checkpoint-000000000002.delta: its base is not there; 3 more deltas are lost with it");
}

// As from a backup: numbers that are the same, and a state that never was.
TEST_F(CheckpointDamage, ADeltaOfAnotherRunOrOfAnotherPastIsRefused) {
  for (const std::uint64_t run : {std::uint64_t{7}, std::uint64_t{8}}) {
    const CheckpointDirectory other;
    CheckpointWriter writer{
        other.path().string(), identity_of(kDamagedBytes, run), {.keep = 9, .sync = false}};
    SegmentModel model{kDamagedBytes, 6};
    for (int i = 0; i < 4; ++i)
      writer.write(CheckpointKind::base, 1, model.everything(100));
    writer.write(CheckpointKind::delta, 1, model.change(3, 20));
    set_content(files_[4].path, content_of(other.file(5, "delta")));
    EXPECT_EQ(restored_number(), 4U);
    EXPECT_THAT(first_passed_over(),
                HasSubstr(run == 7 ? "it goes with another number 4" : "of another run"));
  }
}

TEST_F(CheckpointDamage, SomebodyElsesFilesArePassedOver) {
  set_content(directory_.path() / "note", "nothing to do with it");
  set_content(directory_.path() / "checkpoint-12.base", "nor this");
  set_content(directory_.file(7, "base.part"), "nor this, which is not published");
  set_content(directory_.file(8, "base"), std::string(5000, 'x'));
  fs::create_symlink(files_[3].path, directory_.file(9, "base"));
  fs::create_hard_link(files_[3].path, directory_.file(10, "base"));
  fs::create_directory(directory_.file(11, "base"));
  const CheckpointSearch search = detail::newest_checkpoint(directory_.path().string());
  EXPECT_THAT(search.passed_over,
              ElementsAre(HasSubstr("11.base: it is no regular file"),
                          HasSubstr("10.base: it has another name as well"),
                          HasSubstr("09.base: it is a link"), HasSubstr("08.base: it is no checkpoint"),
                          HasSubstr("04.base: it has another name as well")));
  fs::remove(directory_.file(10, "base"));
  EXPECT_EQ(restored_number(), 6U);
}

// Format 1 as it was first written: 300 bytes, i % 7 + 1, of the pipeline `market`. It is not made anew when the format changes.
constexpr std::string_view kStored =
    "534c5549434543500100000001000000070000000000000008000000000000002c01000000000000"
    "01000000000000000100000000000000000000000000000000000000000000000100000000000000"
    "06000000030000006d61726b6574312e3034fc90907d3f7bb843484e4b010000002c010000180000"
    "0000000000000000002c0100000000000028b52ffd602c007500003801020304050607010022528b"
    "11fed769812eba7428454e442e00000000000000001800000001000000000000002c010000000000"
    "00d9000000000000000a080de078bbc0c4";

TEST(StoredCheckpoint, OfTheFirstFormatIsReadByEveryVersion) {
  const CheckpointDirectory directory;
  std::string content;
  for (std::size_t at = 0; at < kStored.size(); at += 2)
    content += static_cast<char>(std::stoi(std::string{kStored.substr(at, 2)}, nullptr, 16));
  fs::create_directory(directory.path());
  fs::permissions(directory.path(), fs::perms::owner_all);
  set_content(directory.file(1, "base"), content);
  const CheckpointSearch search = detail::newest_checkpoint(directory.path().string());
  ASSERT_TRUE(search.found) << search.passed_over.front();
  EXPECT_EQ(search.found->identity.pipeline, "market");
  EXPECT_EQ(search.found->identity.version, "1.0");
  Image image(kDamagedBytes);
  detail::restore(*search.found, image);
  for (std::size_t i = 0; i < image.size(); ++i)
    ASSERT_EQ(image[i], std::byte(i % 7 + 1)) << i;
}

// With the checksum that its head has then, as another version would write it.
std::string of_format(std::string content, std::uint32_t format) {
  detail::FileHead head;
  std::memcpy(&head, content.data(), sizeof(head));
  head.format = format;
  std::memcpy(content.data(), &head, sizeof(head));
  const std::size_t bytes = sizeof(head) + head.pipeline_bytes + head.version_bytes;
  const std::uint64_t sum = detail::checksum_of(std::as_bytes(std::span{content.data(), bytes}), 0);
  std::memcpy(content.data() + bytes, &sum, sizeof(sum));
  return content;
}

TEST_F(CheckpointDamage, AFormatOfAnotherVersionIsNoDamage) {
  for (const std::uint32_t format : {0U, 3U}) {
    set_content(files_[5].path, of_format(files_[5].content, format));
    const CheckpointSearch search = detail::newest_checkpoint(directory_.path().string());
    EXPECT_THAT(search.other_version,
                HasSubstr("06.delta: Sluice 1.0 made it, its format is " + std::to_string(format) +
                          ", and 1 to 2 are what this version reads"));
    EXPECT_EQ(first_passed_over(), search.other_version);
  }
  // Behind one that can be read again it does not matter.
  set_content(files_[5].path, files_[5].content);
  set_content(files_[2].path, of_format(files_[2].content, 3));
  EXPECT_EQ(detail::newest_checkpoint(directory_.path().string()).other_version, "");
  EXPECT_EQ(restored_number(), 6U);
}

TEST_F(CheckpointDamage, AFormatThatIsDamagedIsNoOther) {
  std::string content = files_[5].content;
  content[8] = 3;
  set_content(files_[5].path, content);
  EXPECT_EQ(restored_number(), 5U);
  EXPECT_THAT(first_passed_over(), HasSubstr("it is damaged before byte "));
  EXPECT_EQ(detail::newest_checkpoint(directory_.path().string()).other_version, "");
}

TEST_F(CheckpointDamage, WhatIsChangedAfterItWasFoundIsNotRestored) {
  const CheckpointSearch search = detail::newest_checkpoint(directory_.path().string());
  Image segment(kDamagedBytes);
  set_content(files_[5].path, files_[5].content.substr(0, 100));
  EXPECT_THROW(detail::restore(*search.found, segment), Error);
  fs::remove(files_[5].path);
  EXPECT_THROW(detail::restore(*search.found, segment), Error);
  set_content(files_[5].path, files_[4].content);
  EXPECT_THROW(detail::restore(*search.found, segment), Error);
  Image other(kDamagedBytes + 1);
  EXPECT_THROW(detail::restore(*search.found, other), Error);
  set_content(files_[5].path, files_[5].content);
  detail::restore(*search.found, segment);
}

TEST_F(CheckpointDamage, ALaterWriterGoesOnBehindAllNumbers) {
  set_content(files_[5].path, "broken");
  CheckpointWriter writer{directory_.path().string(), identity_of(kDamagedBytes), {.keep = 1, .sync = false}};
  EXPECT_TRUE(writer.wants_base());
  write_base(writer);
  EXPECT_EQ(restored_number(), 7U);
  EXPECT_THAT(directory_.names(), ElementsAre("checkpoint-000000000007.base"));
}

}  // namespace
}  // namespace sluice::test

// SPDX-License-Identifier: Apache-2.0
// Checkpoints that another version of Sluice has made: gone on with where memory is laid out as it is now, and refused otherwise, in
// words that say how to go on; never passed over for an older one.
#include <cstring>
#include <functional>
#include <span>

#include <sluice/detail/checksum.hpp>

#include "checkpoint/checkpoint_format.hpp"
#include "checkpoint/checkpoint_store.hpp"
#include "errors.hpp"
#include "layout/image.hpp"
#include "layout/shape.hpp"
#include "with_checkpoints.hpp"

namespace sluice::test {
namespace {

using namespace detail;
using testing::AllOf;
using testing::HasSubstr;

class OlderCheckpoint : public WithCheckpoints {
 protected:
  void make_some() const {
    Engine engine{counting(), settings()};
    engine.start();
    push_and_pull(engine, 100);
    EXPECT_TRUE(a_new_one());
    lose(engine);
  }
  // The newest one, as a base that another version has made.
  void write_as(const std::string& version, const std::function<void(std::span<std::byte>)>& change) const {
    const auto found = newest_checkpoint(directory().string()).found;
    ASSERT_TRUE(found);
    std::vector<std::byte> image(found->identity.segment_bytes);
    restore(*found, std::span{image});
    change(image);
    CheckpointIdentity identity = found->identity;
    identity.version = version;
    clear_away(directory());
    CheckpointWriter writer{directory().string(), identity, {.keep = 1, .sync = false}};
    const Extent all{0, image};
    writer.write(CheckpointKind::base, found->time_ns, std::span{&all, 1});
  }
  std::string error_of_a_start() const {
    return error_of([this] {
      Engine engine{counting(), settings()};
      engine.start();
    });
  }
};

TEST_F(OlderCheckpoint, IsGoneOnWithWhereMemoryIsLaidOutAsItIsNow) {
  make_some();
  write_as("0.0.1", [](std::span<std::byte>) {});
  Engine engine{counting(), settings()};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  EXPECT_EQ(engine.inlet<Item>("in").position(), 100U);
  push_and_pull(engine, 100);
}

TEST_F(OlderCheckpoint, OfAnotherLayoutIsRefusedAndKept) {
  make_some();
  const std::string now = shape_version();
  write_as("0.0.1", [&now](std::span<std::byte> image) {
    // "the layout's version: 8": another number of as many digits.
    char& last = reinterpret_cast<char*>(image.data())[ImageMap::kLengthBytes + now.size() - 2];
    last = last == '1' ? '2' : '1';
  });
  const std::vector<fs::path> before = files();
  EXPECT_THAT(error_of_a_start(),
              AllOf(HasSubstr(directory().string()),
                    HasSubstr("Sluice 0.0.1 made them, whose layout in memory is another"),
                    HasSubstr("the layout's version: "),
                    HasSubstr("go on with the program and the Sluice that made them")));
  EXPECT_EQ(files(), before);
}

TEST_F(OlderCheckpoint, OfAnotherFormatIsRefusedThoughThereIsOneBeforeIt) {
  make_some();
  write_as("9.9", [](std::span<std::byte>) {});
  const fs::path kept = files().back();
  std::string content;
  {
    std::ifstream file{kept, std::ios::binary};
    content.assign(std::istreambuf_iterator<char>{file}, {});
  }
  FileHead head;
  std::memcpy(&head, content.data(), sizeof(head));
  head.format = 9;
  head.number = head.base = head.number + 1;
  std::memcpy(content.data(), &head, sizeof(head));
  const std::size_t bytes = sizeof(head) + head.pipeline_bytes + head.version_bytes;
  const std::uint64_t sum = checksum_of(std::as_bytes(std::span{content.data(), bytes}), 0);
  std::memcpy(content.data() + bytes, &sum, sizeof(sum));
  const fs::path other = directory() / to_text(CheckpointName{head.number, CheckpointKind::base, false});
  std::ofstream{other, std::ios::binary} << content;
  fs::permissions(other, fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_THAT(error_of_a_start(), AllOf(HasSubstr("Sluice 9.9 made it, its format is 9"),
                                        HasSubstr("go on with the program and the Sluice")));
  EXPECT_TRUE(fs::exists(kept) && fs::exists(other));
  // Whoever wants the one before says so.
  fs::remove(other);
  Engine engine{counting(), settings()};
  engine.start();
  EXPECT_EQ(engine.inlet<Item>("in").position(), 100U);
}

}  // namespace
}  // namespace sluice::test

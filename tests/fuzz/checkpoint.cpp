// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the file of a checkpoint, as it may be and with its checksums made right, so that what stands behind them is
// read too. It is refused, or everything in it lies within the segment; names read back as they were written.
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include <sluice/detail/descriptor.hpp>

#include "bytes.hpp"
#include "checkpoint/checkpoint_copy.hpp"
#include "checkpoint/seal.hpp"

namespace {

using namespace sluice::detail;
using sluice::fuzz::require;

constexpr std::uint64_t kMostSegment = 65536;

// One file for all inputs.
const Descriptor& file_of(const std::vector<std::byte>& content) {
  static const Descriptor file{::memfd_create("checkpoint", MFD_CLOEXEC)};
  require(::ftruncate(file.get(), 0) == 0 &&
              ::pwrite(file.get(), content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()),
          "the file is there");
  return file;
}

bool is_whole(const Descriptor& file, std::vector<std::byte>* segment) {
  try {
    CheckpointInput input{file};
    if (segment == nullptr) {
      input.read(nullptr);
      return true;
    }
    if (input.head().segment_bytes > kMostSegment) return false;
    segment->resize(input.head().segment_bytes);
    const CheckpointPlaces places = [segment](std::uint64_t offset, std::size_t bytes) {
      return CheckpointPlace{segment->data() + offset, bytes};
    };
    ChunkDecoder decoder{places};
    input.read(&decoder);
    return true;
  } catch (const NotWhole& reason) {
    require(!reason.why.empty(), "what is refused is refused for a reason");
    return false;
  }
}

void read_file(sluice::fuzz::Bytes& input, bool sealed) {
  const std::string text = input.text();
  const std::span<const std::byte> bytes = std::as_bytes(std::span{text});
  std::vector<std::byte> content{bytes.begin(), bytes.end()};
  if (sealed) sluice::test::seal(content);
  const Descriptor& file = file_of(content);
  const bool whole = is_whole(file, nullptr);
  std::vector<std::byte> segment;
  require(!is_whole(file, &segment) || whole, "what is restored was accepted before");
}

void read_name(const std::string& text) {
  const auto name = parse_checkpoint_name(text);
  if (name) require(to_text(*name) == text, "a name reads back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::fuzz::Bytes input{data, size};
  const std::size_t what = input.below(3);
  if (what == 2)
    read_name(input.text());
  else
    read_file(input, what == 1);
  return 0;
}

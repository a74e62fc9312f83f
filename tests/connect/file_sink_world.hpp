// SPDX-License-Identifier: Apache-2.0
// Pipelines that write files, and what stands in these.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include <zstd.h>

#include <sluice/connect/file_sink.hpp>

#include "outside_world.hpp"

namespace sluice::test {

namespace fs = std::filesystem;

inline std::string text_of_item(const Item& item) {
  return std::to_string(item.key) + " " + std::to_string(item.number);
}

inline std::string bytes_of(const fs::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// All frames of it; a torn one is a failure.
inline std::string unpacked(const std::string& packed) {
  std::string text;
  std::size_t at = 0;
  while (at < packed.size()) {
    const std::size_t frame = ::ZSTD_findFrameCompressedSize(packed.data() + at, packed.size() - at);
    if (::ZSTD_isError(frame) != 0) {
      ADD_FAILURE() << "a torn frame";
      return text;
    }
    std::string content(::ZSTD_getFrameContentSize(packed.data() + at, packed.size() - at), '\0');
    EXPECT_EQ(::ZSTD_decompress(content.data(), content.size(), packed.data() + at, frame), content.size());
    text += content;
    at += frame;
  }
  return text;
}

class FileSinks : public WithOutside {
 protected:
  FileSinks() { fs::create_directory(file("out")); }

  RollingFileOptions options() const {
    RollingFileOptions options;
    options.directory = file("out");
    options.sync = FileSync::none;
    return options;
  }
  static Pipeline archive(const RollingFileOptions& options, unsigned workers = 1) {
    Pipeline pipeline{"archive"};
    pipeline.inlet<Item>("in")
        .by(&Item::key)
        .to<FileSink<Item>>("items", {.workers = workers}, options, text_of_item);
    return pipeline;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator{file("out")})
      names.push_back(entry.path().filename().string());
    return sorted(std::move(names));
  }
  // Whether nothing is being written.
  bool published_whole() const {
    const std::vector<std::string> all = names();
    return std::none_of(all.begin(), all.end(),
                        [](const std::string& name) { return name.ends_with(".part"); });
  }
  // What a worker has published, in order.
  std::string published(const std::string& worker) const {
    std::string text;
    for (const std::string& name : names()) {
      if (!name.starts_with(worker + "-")) continue;
      const std::string bytes = bytes_of(file("out/" + name));
      text += name.ends_with(".zst") ? unpacked(bytes) : bytes;
    }
    return text;
  }
  static std::string lines_of_key(const std::vector<Item>& items, const std::set<std::uint32_t>& keys) {
    std::string text;
    for (const Item& item : items) {
      if (keys.contains(item.key)) text += text_of_item(item) + "\n";
    }
    return text;
  }
};

}  // namespace sluice::test

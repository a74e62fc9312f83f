// SPDX-License-Identifier: Apache-2.0
// What a file system may have on the disk when the power fails between two calls of a record.
//
// It promises what the calls promise and no more: the content of a file up to its last fsync, the names in a directory up to
// the directory's. Of everything since, any part may be there, in any order: a write as a whole, some of its sectors, or
// its length alone, with zeros; a new name without the file's content; a name that is removed and one that is not.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "recorder.hpp"

namespace sluice::test {

class DiskModel {
 public:
  // Everything has happened as the process that died has seen it, and `torn` bytes of the next write besides.
  static DiskModel after_death(const std::vector<DiskCall>& calls, std::size_t count, std::size_t torn) {
    DiskModel disk;
    for (std::size_t i = 0; i < count; ++i)
      disk.apply(calls[i]);
    if (torn != 0)
      disk.put(disk.content_[calls[count].object], calls[count].at, calls[count].bytes.substr(0, torn));
    return disk;
  }

  // The power fails behind the first `count` calls.
  static DiskModel after_power_cut(const std::vector<DiskCall>& calls, std::size_t count,
                                   std::mt19937& random) {
    DiskModel disk;
    std::vector<const DiskCall*> unsure;
    for (std::size_t i = 0; i < count; ++i) {
      const DiskCall& call = calls[i];
      if (call.what != DiskCall::What::sync_file && call.what != DiskCall::What::sync_directory) {
        unsure.push_back(&call);
        continue;
      }
      const auto is_sure = [&call](const DiskCall* earlier) {
        const bool is_write = earlier->what == DiskCall::What::write;
        return call.what == DiskCall::What::sync_file ? is_write && earlier->object == call.object
                                                      : !is_write && earlier->directory == call.object;
      };
      for (const DiskCall* earlier : unsure) {
        if (is_sure(earlier)) disk.apply(*earlier);
      }
      std::erase_if(unsure, is_sure);
    }
    disk.apply_some(unsure, random);
    return disk;
  }

  // As files below `root`, which is empty.
  void build(const std::filesystem::path& root) const {
    for (const auto& [place, object] : names_) {
      if (place.first != 0 || !directories_.contains(object)) continue;
      const std::filesystem::path directory = root / place.second;
      std::filesystem::create_directory(directory);
      std::filesystem::permissions(directory, std::filesystem::perms::owner_all);
      for (const auto& [inner, file] : names_) {
        if (inner.first != object) continue;
        std::ofstream out{directory / inner.second, std::ios::binary};
        const auto content = content_.find(file);
        if (content != content_.end()) out << content->second;
        out.close();
        std::filesystem::permissions(directory / inner.second, std::filesystem::perms::owner_read |
                                                                   std::filesystem::perms::owner_write);
      }
    }
  }

 private:
  using Place = std::pair<int, std::string>;  // A directory, and a name in it.

  static void put(std::string& content, std::uint64_t at, const std::string& bytes) {
    if (content.size() < at + bytes.size()) content.resize(at + bytes.size());
    std::copy(bytes.begin(), bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(at));
  }

  void apply(const DiskCall& call) {
    switch (call.what) {
      case DiskCall::What::make_directory:
        directories_[call.object] = true;
        [[fallthrough]];
      case DiskCall::What::make_file:
        names_[{call.directory, call.name}] = call.object;
        break;
      case DiskCall::What::write:
        put(content_[call.object], call.at, call.bytes);
        break;
      case DiskCall::What::rename:
        names_[{call.directory, call.new_name}] = call.object;
        names_.erase({call.directory, call.name});
        break;
      case DiskCall::What::link:
        names_[{call.directory, call.new_name}] = call.object;
        break;
      case DiskCall::What::remove:
        names_.erase({call.directory, call.name});
        break;
      default:
        break;
    }
  }

  // Any of them, in any order; of a rename one half may be there without the other.
  void apply_some(std::vector<const DiskCall*> calls, std::mt19937& random) {
    std::shuffle(calls.begin(), calls.end(), random);
    const unsigned likely = random() % 4;  // From few of them to almost all.
    for (const DiskCall* call : calls) {
      if (call->what == DiskCall::What::make_directory) directories_[call->object] = true;
      if (random() % 4 > likely) continue;
      if (call->what == DiskCall::What::write) {
        apply_sectors(*call, random);
      } else if (call->what == DiskCall::What::rename && random() % 3 == 0) {
        if (random() % 2 == 0)
          names_[{call->directory, call->new_name}] = call->object;
        else
          names_.erase({call->directory, call->name});
      } else {
        apply(*call);
      }
    }
  }
  void apply_sectors(const DiskCall& call, std::mt19937& random) {
    const std::size_t sector = std::size_t{64} << (random() % 4);
    const bool all = random() % 2 == 0;
    std::string& content = content_[call.object];
    if (random() % 2 == 0) put(content, call.at + call.bytes.size(), "");
    for (std::size_t begin = 0; begin < call.bytes.size(); begin += sector) {
      if (all || random() % 2 == 0) put(content, call.at + begin, call.bytes.substr(begin, sector));
    }
  }

  std::map<Place, int> names_;
  std::map<int, bool> directories_;
  std::map<int, std::string> content_;
};

}  // namespace sluice::test

// SPDX-License-Identifier: Apache-2.0
// Ships checkpoints to the log of their partition, and writes down which files of the directory are stored there: a host that
// gives a partition away, or is told to start it again, has a copy then, without having read anything.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <sluice/detail/own_directory.hpp>
#include <sluice/error.hpp>

#include "source_reads.hpp"
#include "state_copy.hpp"
#include "state_log.hpp"

namespace sluice::detail {
namespace {

// Beside the files that it is of. A checkpoint counts without it, so what is wrong with it costs a copy and nothing else.
class StoredList {
 public:
  StoredList(const std::filesystem::path& directory, const std::string& subject)
      : directory_{directory, kDataOption}, copy_{directory_, subject}, open_{copy_.go_on()} {}

  void take(CopiedMessage stored) {
    const bool base = parse_state_file_name(stored.message.file)->base;
    // It goes with one that is not written down.
    if (!base && !open_) return;
    open_ = false;
    stored.checksum = copy_.checksum_of_file(stored.message.file);
    stored.mark = copy_.mark_of_file(stored.message.file);
    if (base) list_.clear();
    list_.push_back(stored);
    const bool whole = base || forget_before(stored.message.whole_from);
    whole ? copy_.begin(list_) : copy_.add(stored);
    open_ = true;
  }

 private:
  // Those from this number on are a base; the files before them are gone.
  bool forget_before(std::uint64_t number) {
    const auto from = std::find_if(list_.begin(), list_.end(), [number](const CopiedMessage& each) {
      return parse_state_file_name(each.message.file)->number == number;
    });
    if (number == 0 || from == list_.end()) return false;
    list_.erase(list_.begin(), from);
    return true;
  }

  OwnDirectory directory_;
  StateCopy copy_;
  bool open_;                        // What is stored next goes with the last one of the list.
  std::vector<CopiedMessage> list_;  // Its end: what this process has stored since the last base.
};

class Shipper {
 public:
  Shipper(StateLogOptions options, std::uint64_t epoch, std::uint64_t newest)
      : subject_{state_subject(options.cluster, options.partition)}, log_{std::move(options)} {
    log_.go_on_with(epoch, newest);
  }

  void ready() { log_.ready(); }

  void ship(const ShippedCheckpoint& checkpoint) {
    CopiedMessage stored = log_.append(checkpoint.file, checkpoint.base ? 0 : checkpoint.whole_from,
                                       to_source_reads(checkpoint.reads));
    try {
      if (!list_) list_.emplace(checkpoint.file.parent_path(), subject_);
      list_->take(std::move(stored));
    } catch (const Error&) {
      // A full disk, say. Lines behind one that is missing are none: the list ends here until the next base.
    }
  }

 private:
  std::string subject_;
  StateLog log_;
  std::optional<StoredList> list_;
};

}  // namespace

ReadiedShipper state_log_shipper(StateLogOptions options, std::uint64_t epoch, std::uint64_t newest) {
  // Made in the process that ships: no two write as the same one.
  const auto shipper = [made = std::make_shared<std::optional<Shipper>>(), options = std::move(options),
                        epoch, newest]() -> Shipper& {
    if (!*made) made->emplace(options, epoch, newest);
    return **made;
  };
  return {.ship = [shipper](const ShippedCheckpoint& checkpoint) { shipper().ship(checkpoint); },
          .ready = [shipper] { shipper().ready(); }};
}

}  // namespace sluice::detail

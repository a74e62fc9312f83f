// SPDX-License-Identifier: Apache-2.0
// How a host gets the newest whole chain of a partition into a directory.
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/unavailable.hpp>

#include "state_log.hpp"
#include "state_message.hpp"

namespace sluice::detail {
namespace {

// Names of files come from the stream: nothing but a checkpoint's may be made of them.
bool is_checkpoint_name(const std::string& name) {
  return name.starts_with("checkpoint-") && (name.ends_with(".base") || name.ends_with(".delta")) &&
         name.find('/') == std::string::npos;
}

// Puts the files together as their parts come.
class Files {
 public:
  explicit Files(std::filesystem::path directory) : directory_{std::move(directory)} {
    std::filesystem::create_directories(directory_);
    std::filesystem::permissions(directory_, std::filesystem::perms::owner_all);
    for (const auto& entry : std::filesystem::directory_iterator{directory_}) {
      if (entry.path().filename().string().starts_with("checkpoint-")) std::filesystem::remove(entry.path());
    }
  }

  // What comes next on the subject. Whatever is not the next part of a file ends the one that was begun.
  void take(const StateHeader& header, const char* data, std::size_t bytes) {
    const auto part = header.file.empty() ? std::nullopt : parse_part(header.part);
    if (!part || !is_checkpoint_name(header.file)) return drop();
    if (part->number == 1) {
      drop();
      begin(header);
    } else if (!file_ || header.file != name_ || header.epoch != epoch_ || part->number != next_) {
      return drop();
    }
    append(data, bytes);
    next_ = part->number + 1;
    if (part->number == part->count) publish();
  }
  // What was cut off.
  void drop() {
    if (!file_) return;
    file_.reset();
    std::error_code gone;
    std::filesystem::remove(path(), gone);
  }
  StateLog::Fetched fetched() const { return {whole_.size(), bytes_}; }

 private:
  std::filesystem::path path() const { return directory_ / (name_ + ".fetched"); }

  void begin(const StateHeader& header) {
    name_ = header.file;
    epoch_ = header.epoch;
    file_bytes_ = 0;
    file_ = Descriptor{::open(path().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!file_) fail();
  }

  void append(const char* data, std::size_t bytes) {
    file_bytes_ += bytes;
    while (bytes > 0) {
      const ssize_t written = ::write(file_.get(), data, bytes);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail();
      data += written;
      bytes -= static_cast<std::size_t>(written);
    }
  }

  void publish() {
    file_.reset();
    const bool base = name_.ends_with(".base");
    if (::rename(path().c_str(), (directory_ / name_).c_str()) != 0) fail();
    if (base) {
      for (const std::string& older : whole_)
        std::filesystem::remove(directory_ / older);
      whole_.clear();
      bytes_ = 0;
    }
    whole_.push_back(name_);
    bytes_ += file_bytes_;
  }

  [[noreturn]] void fail() const {
    throw Error{{"write the checkpoint", path().string(), errno_text(),
                 "make room there, or give --data a directory of another file system"}};
  }

  std::filesystem::path directory_;
  std::vector<std::string> whole_;
  std::uint64_t bytes_ = 0;
  // The file whose parts are coming.
  Descriptor file_;
  std::string name_;
  std::uint64_t epoch_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t file_bytes_ = 0;
};

}  // namespace

StateLog::Fetched StateLog::fetch(const std::filesystem::path& directory) const {
  Files files{directory};
  const std::optional<StateLogStatus> last = status();
  if (!last) return {};
  jsSubOptions how;
  jsSubOptions_Init(&how);
  how.Ordered = true;
  how.Stream = stream_.c_str();
  natsSubscription* made = nullptr;
  auto code = static_cast<jsErrCode>(0);
  natsStatus status = js_SubscribeSync(&made, client_.jetstream(), subject_.c_str(), nullptr, &how, &code);
  const NatsSubscriptionPtr subscription{made};
  if (status != NATS_OK) client_.fail("read", "the subject " + subject_, status, code);
  for (std::uint64_t sequence = 0; sequence < last->sequence;) {
    natsMsg* taken = nullptr;
    status = natsSubscription_NextMsg(&taken, made, client_.timeout().count());
    const NatsMessagePtr message{taken};
    jsMsgMetaData* about = nullptr;
    if (status == NATS_OK) status = natsMsg_GetMetaData(&about, taken);
    const JsMetaDataPtr known{about};
    if (status != NATS_OK) client_.fail("read", "the subject " + subject_, status, static_cast<jsErrCode>(0));
    sequence = about->Sequence.Stream;
    const auto header = read_state_header(taken);
    if (header) {
      files.take(*header, natsMsg_GetData(taken), static_cast<std::size_t>(natsMsg_GetDataLength(taken)));
    } else {
      files.drop();
    }
  }
  files.drop();
  return files.fetched();
}

}  // namespace sluice::detail

// SPDX-License-Identifier: Apache-2.0
#include "worker/executed_life.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sluice/error.hpp>

#include "death/own_code.hpp"

namespace sluice::detail {
namespace {

constexpr std::uint64_t kLifeMark = 0x656669'6c77656e;  // "newlife", as it lies in memory.
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

// Both go through a life in the same order: each is a visitor of it.
class Writer {
 public:
  void number(const std::uint64_t& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void text(const std::string& text) {
    number(text.size());
    bytes_ += text;
  }
  template <class T, class Each>
  void list(const std::vector<T>& list, const Each& each) {
    number(list.size());
    for (const T& one : list)
      each(one);
  }
  template <class T>
  void small(const T& value) {
    number(static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
  }
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_{bytes} {}
  void number(std::uint64_t& value) {
    if (bytes_.size() < sizeof(value)) return fail();
    std::memcpy(&value, bytes_.data(), sizeof(value));
    bytes_.remove_prefix(sizeof(value));
  }
  void text(std::string& text) {
    std::uint64_t size = 0;
    number(size);
    if (size > bytes_.size()) return fail();
    text = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
  }
  template <class T, class Each>
  void list(std::vector<T>& list, const Each& each) {
    std::uint64_t size = 0;
    number(size);
    if (size > bytes_.size()) return fail();
    list.resize(size);
    for (T& one : list)
      each(one);
  }
  template <class T>
  void small(T& value) {
    std::uint64_t number_of_it = 0;
    number(number_of_it);
    value = static_cast<T>(number_of_it);
  }
  bool whole() const { return !failed_ && bytes_.empty(); }

 private:
  void fail() {
    failed_ = true;
    bytes_ = {};
  }
  std::string_view bytes_;
  bool failed_ = false;
};

template <class Life, class Visitor>
void visit_place(Life& life, Visitor& visitor, std::string& units) {
  visitor.text(units);
  visitor.small(life.place.numa_node);
  visitor.small(life.place.shared);
}

template <class Life, class Visitor>
void visit(Life& life, Visitor& visitor) {
  visitor.number(life.worker);
  visitor.text(life.pipeline);
  visitor.text(life.name);
  visitor.text(life.reports);
  visitor.number(life.start);
  visitor.number(life.named);
  visitor.number(life.code_begins);
  visitor.small(life.region.file);
  visitor.small(life.region.first_byte);
  visitor.number(life.segment_begins);
  for (auto& from : life.huge.from)
    visitor.small(from);
  for (auto& required : life.huge.required)
    visitor.small(required);
  for (auto& fd : life.memory)
    visitor.small(fd);
  visitor.small(life.lifeline);
  const auto small = [&visitor](auto& one) { visitor.small(one); };
  visitor.list(life.bells, small);
  visitor.list(life.end_bells, small);
  visitor.list(life.made.settings, [&visitor](auto& one) {
    visitor.text(one.key);
    visitor.text(one.value);
    visitor.small(one.layer);
  });
  visitor.list(life.made.workers, [&visitor](auto& one) { visitor.number(one); });
  visitor.text(life.made.shape);
}

}  // namespace

ExecutedLife life_of(const Wiring& wiring, WorkerIndex worker, const pinning::Place& place, int lifeline) {
  const ipc::Segment& segment = wiring.segment();
  ExecutedLife life;
  life.worker = worker.value();
  life.place = place;
  life.pipeline = wiring.graph().name;
  life.name = wiring.name(worker);
  life.reports = wiring.reports().string();
  life.start = wiring.start();
  life.named = segment.named() ? 1 : 0;
  life.code_begins = begin_of_code();
  life.region = segment.in_file(process_of(worker).value());
  life.segment_begins = segment.first_byte();
  life.huge = segment.huge_pages();
  life.memory = segment.descriptors();
  life.lifeline = lifeline;
  for (const ipc::Doorbell& bell : wiring.bells().processes)
    life.bells.push_back(bell.fd());
  for (const ipc::Doorbell& bell : wiring.bells().ends)
    life.end_bells.push_back(bell.fd());
  life.made = *wiring.executed_start();
  return life;
}

std::vector<int> descriptors_of(const ExecutedLife& life) {
  std::vector<int> all{life.memory.begin(), life.memory.end()};
  all.push_back(life.lifeline);
  all.insert(all.end(), life.bells.begin(), life.bells.end());
  all.insert(all.end(), life.end_bells.begin(), life.end_bells.end());
  std::erase_if(all, [](int fd) { return fd < 0; });
  return all;
}

std::string to_bytes(const ExecutedLife& life) {
  Writer out;
  out.number(kLifeMark);
  std::string units = life.place.units.to_string();
  visit_place(life, out, units);
  visit(life, out);
  return std::move(out.bytes_);
}

std::optional<ExecutedLife> read_life(std::string_view bytes) {
  Reader in{bytes};
  std::uint64_t mark = 0;
  in.number(mark);
  if (mark != kLifeMark) return std::nullopt;
  ExecutedLife life;
  std::string units;
  visit_place(life, in, units);
  visit(life, in);
  if (!in.whole()) return std::nullopt;
  life.place.units = pinning::CpuSet::parse(units);
  return life;
}

Descriptor file_of(const ExecutedLife& life) {
  const auto refuse = [&life](const char* call) {
    throw Error{{"write down for an executed replacement what it is, in", life.pipeline,
                 std::string{call} + ": " + errno_text(), "give it memory and descriptors"}};
  };
  Descriptor file{::memfd_create("sluice-life", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!file) refuse("memfd_create");
  const std::string bytes = to_bytes(life);
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t written = ::write(file.get(), bytes.data() + done, bytes.size() - done);
    if (written <= 0 && errno != EINTR) refuse("write");
    if (written > 0) done += static_cast<std::size_t>(written);
  }
  if (::fcntl(file.get(), F_ADD_SEALS, kSeals) != 0) refuse("fcntl");
  return file;
}

std::optional<ExecutedLife> life_in(int fd) {
  struct stat found {};
  // What was sealed so is a file of memory, and nobody changes it any more.
  if (::fcntl(fd, F_GET_SEALS) != kSeals || ::fstat(fd, &found) != 0) return std::nullopt;
  std::string bytes(static_cast<std::size_t>(found.st_size), '\0');
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t got = ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (got == 0 || (got < 0 && errno != EINTR)) return std::nullopt;
    if (got > 0) done += static_cast<std::size_t>(got);
  }
  return read_life(bytes);
}

}  // namespace sluice::detail

// SPDX-License-Identifier: Apache-2.0
// The pages behind a segment: which sizes they have, when they are allocated, and that they stay in memory.
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/pages.hpp>
#include <sluice/error.hpp>

#include "huge_page_pool.hpp"
#include "memory_limits.hpp"
#include "segment_file.hpp"
#include "sluice/ipc/segment.hpp"

// Newer than the headers that this is compiled with; a kernel that does not know them says so.
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14.
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // Linux 6.1.
#endif

namespace sluice::ipc {
namespace {

constexpr const char* kLessHuge = "set memory.huge=auto, which takes what there is";

// The kernel's numbers for the sizes of huge pages: the logarithm, from bit 26 on.
constexpr std::array<unsigned, 2> kMemfdSizes{21U << 26U, 30U << 26U};

int allocate_file(int fd, std::size_t bytes) noexcept {
  int result = 0;
  do {
    result = ::fallocate(fd, 0, 0, static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

// Whether this process may lock as much as it wants: capabilities(7).
bool may_lock_anything() noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct found[_LINUX_CAPABILITY_U32S_3]{};
  return ::syscall(SYS_capget, &header, found) == 0 &&
         (found[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

}  // namespace

std::string memory_file_name(const std::string& pipeline) {
  constexpr std::size_t kMost = 240;
  return ("sluice:" + pipeline).substr(0, kMost);
}

// From the largest down: what one size does not give is asked of the next.
void Segment::take_huge_pages(std::span<const RegionSpec> regions) {
  for (std::size_t size = kHugePageBytes.size(); size-- > 0;) {
    lay_out(regions, 0);
    if (files_[1 + size].bytes == 0) continue;
    std::string why;
    std::string remedy{kLessHuge};
    if (auto lack = lack_of_huge_pages(size, files_[1 + size].bytes)) {
      // That there is no pool is no news for who has not asked for it.
      const bool brief = lack->empty && !huge_.required[size];
      why = brief ? "the machine's pool is empty" : std::move(lack->why);
      remedy = std::move(lack->remedy.append(", or ").append(kLessHuge));
    } else {
      why = make_huge_file(size);
    }
    if (!why.empty()) give_up_huge_pages(size, why, remedy);
  }
}

// Throws Error when they are required.
void Segment::give_up_huge_pages(std::size_t size, const std::string& why, const std::string& remedy) {
  if (huge_.required[size]) {
    throw Error{{fmt::format("take huge pages of {} for", name_of_huge_page(size)), name_, why, remedy}};
  }
  if (!huge_remark_.empty()) huge_remark_ += "; ";
  huge_remark_ += fmt::format("none of {}: {}", name_of_huge_page(size), why);
  huge_.from[size] = 0;
  close_file(1 + size);
}

// Empty, or why not.
std::string Segment::make_huge_file(std::size_t size) {
  File& file = files_[1 + size];
  file.fd = sluice::detail::above_standard(::memfd_create(
      memory_file_name(name_).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | kMemfdSizes[size]));
  if (file.fd < 0) return "memfd_create: " + errno_text();
  if (::ftruncate(file.fd, static_cast<off_t>(file.bytes)) != 0) return "ftruncate: " + errno_text();
  // A mapping reserves the pages, for the file: what is taken now is not taken by another process until they are
  // populated.
  void* mapped = ::mmap(nullptr, file.bytes, PROT_READ, MAP_SHARED, file.fd, 0);
  if (mapped == MAP_FAILED) return "mmap: " + errno_text();
  ::munmap(mapped, file.bytes);
  return {};
}

bool Segment::populate_huge() {
  // By the mappings, whose policies say on which node; fallocate() does not follow those, but leaves no page out: a
  // fault that finds none to be had would be a SIGBUS.
  for (const Region& region : regions_) {
    for_each_part(region, [](std::size_t file, std::byte* data, std::size_t bytes) {
      if (file != 0) ::madvise(data, bytes, MADV_POPULATE_READ);
    });
  }
  for (std::size_t size = 0; size < kHugePageBytes.size(); ++size) {
    const File& file = files_[1 + size];
    if (file.fd < 0) continue;
    const int error = allocate_file(file.fd, file.bytes);
    if (error == 0) continue;
    give_up_huge_pages(size, "fallocate: " + errno_text(error), kLessHuge);
    put_into_small_pages();
    return false;
  }
  return true;
}

// At the same addresses; the pieces lie in the file as they would had no huge pages been asked for.
void Segment::put_into_small_pages() {
  huge_.from = {};
  for (std::size_t file = 0; file < kFiles; ++file) {
    close_file(file);
    files_[file].bytes = 0;
  }
  const auto move = [this](Piece& piece) {
    piece.parts = {};
    piece.parts[0] = {files_[0].bytes, piece.bytes};
    files_[0].bytes += piece.bytes;
  };
  for (Region& region : regions_) {
    move(region.plain);
    for (Piece& ring : region.rings)
      move(ring);
  }
  create_memory();
  map_everything();
  seal_everything();
  owned_ = kNothing;
}

void Segment::prefault() {
  allocate();
  if (file_ != nullptr) file_->publish();
}

void Segment::allocate() {
  populate_huge();
  const int error = allocate_file(files_[0].fd, files_[0].bytes);
  if (error != 0) {
    // Whoever looks at what has not started reads zeros: a page for which a file system has no room is a SIGBUS, also to be read.
    static_cast<void>(::mmap(base_, address_bytes_, PROT_READ,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0));
    const std::string remedy = sluice::detail::remedy_for_call(error, "fallocate");
    throw Error{{"allocate the memory of", name_,
                 fmt::format("{} MiB: {}", files_[0].bytes >> 20U, errno_text(error)),
                 remedy.empty() ? kTakeLessMemory : remedy}};
  }
}

std::vector<std::span<std::byte>> Segment::whole_huge_pages(std::size_t least_bytes) const {
  constexpr std::size_t kPage = kHugePageBytes[kTwoMib];
  std::vector<std::span<std::byte>> found;
  const auto add = [this, least_bytes, &found](const Piece& piece, std::size_t address_offset) {
    const std::size_t bytes = piece.parts[0].bytes;
    // Otherwise the pages of the file lie across those of the addresses.
    const bool beside = address_offset % kPage == piece.parts[0].file_offset % kPage;
    const std::size_t first = sluice::detail::round_up(address_offset, kPage);
    const std::size_t end = (address_offset + bytes) / kPage * kPage;
    if (bytes >= least_bytes && beside && end > first) found.emplace_back(base_ + first, end - first);
  };
  for (const Region& region : regions_) {
    add(region.plain, region.plain.address_offset);
    for (const Piece& ring : region.rings)
      add(ring, once_at(ring));
  }
  return found;
}

std::size_t Segment::collapsible(std::size_t least_bytes) const {
  std::size_t bytes = 0;
  for (const std::span<std::byte> piece : whole_huge_pages(least_bytes))
    bytes += piece.size();
  return bytes;
}

Segment::Collapsed Segment::collapse(std::size_t least_bytes) const {
  constexpr std::size_t kPage = kHugePageBytes[kTwoMib];
  // A page that a process is writing into at this moment is held; the next try gets it.
  constexpr int kTries = 3;
  Collapsed result;
  for (const std::span<std::byte> piece : whole_huge_pages(least_bytes)) {
    for (std::size_t at = 0; at < piece.size(); at += kPage) {
      int error = 0;
      for (int i = 0; i < kTries; ++i) {
        error = ::madvise(piece.data() + at, kPage, MADV_COLLAPSE) == 0 ? 0 : errno;
        if (error != EAGAIN && error != EBUSY) break;
      }
      if (error == 0) result.bytes += kPage;
      if (error != 0) result.error = error;
      // A kernel that does not know it, or a filter that denies it, says the same of all pages.
      if (error == EINVAL || error == ENOSYS || error == EPERM) return result;
    }
  }
  return result;
}

void Segment::refuse_lock_beyond_limit() const {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || may_lock_anything())
    return;
  const std::size_t locked = locked_bytes();
  if (files_[0].bytes + locked <= limit.rlim_cur) return;
  throw Error{
      {"lock the memory of", name_,
       fmt::format("it takes {} KiB, and this process may lock {} KiB (RLIMIT_MEMLOCK), of which it has {}",
                   files_[0].bytes >> 10U, limit.rlim_cur >> 10U, locked >> 10U),
       fmt::format(
           "raise the limit (ulimit -l {}, LimitMEMLOCK= of systemd, --ulimit memlock= of a container), "
           "grant CAP_IPC_LOCK, or set memory.lock=no",
           (files_[0].bytes + locked) >> 10U)}};
}

int Segment::lock() const noexcept {
  for (const Region& region : regions_) {
    int error = 0;
    for_each_part(region, [&error](std::size_t file, std::byte* data, std::size_t bytes) {
      // Huge pages of the pool are never swapped.
      if (file == 0 && error == 0 && ::mlock(data, bytes) != 0) error = errno;
    });
    if (error != 0) return error;
  }
  return 0;
}

}  // namespace sluice::ipc

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/pages.hpp>
#include <sluice/detail/process_name.hpp>
#include <sluice/printable.hpp>

namespace sluice::detail {
namespace {

constexpr std::size_t kMostCommandLineBytes = 256;

// Inherited by fork, and written by each process for itself.
struct CommandLine {
  // A page of anonymous memory: the kernel shows no other to those who read a command line.
  char* text = nullptr;
  std::size_t prefix = 0;  // "sluice: market "
  prctl_mm_map map{};      // As the kernel has it, but for what changes.
};
CommandLine command_line;

// The numbers of /proc/self/stat by their place in the line, from 1 on. Source: proc(5).
std::array<std::uint64_t, 53> stat_fields() noexcept {
  std::array<std::uint64_t, 53> fields{};
  char text[2048];
  const Descriptor file{::open("/proc/self/stat", O_RDONLY | O_CLOEXEC)};
  const ssize_t bytes = file ? ::read(file.get(), text, sizeof(text) - 1) : -1;
  if (bytes <= 0) return fields;
  text[bytes] = '\0';
  // The second is the name, which may hold anything, in parentheses; the third is a letter.
  char* at = std::strrchr(text, ')');
  if (at == nullptr || std::strlen(at) < 4) return fields;
  at += 3;
  for (std::size_t field = 4; field < fields.size() && *at != '\0'; ++field)
    fields[field] = std::strtoull(at, &at, 10);
  return fields;
}

void tell_kernel(std::size_t bytes) noexcept {
  prctl_mm_map map = command_line.map;
  map.brk = reinterpret_cast<std::uint64_t>(::sbrk(0));
  map.arg_start = reinterpret_cast<std::uint64_t>(command_line.text);
  map.arg_end = map.arg_start + bytes;
  ::prctl(PR_SET_MM, PR_SET_MM_MAP, reinterpret_cast<unsigned long>(&map), sizeof(map), 0);
}

// Appends to the command line, and ends it with a zero, as arguments end.
std::size_t write_from(std::size_t at, std::string_view text) noexcept {
  const std::size_t kept = std::min(text.size(), kMostCommandLineBytes - 1 - at);
  std::copy_n(text.begin(), kept, command_line.text + at);
  command_line.text[at + kept] = '\0';
  return at + kept;
}

void set_command_line(std::string_view role) noexcept {
  if (command_line.text == nullptr) return;
  tell_kernel(write_from(command_line.prefix, role) + 1);
}

void set_name(std::string_view name) noexcept {
  char text[kMostNameBytes + 1] = {};
  std::copy_n(name.begin(), std::min(name.size(), kMostNameBytes), text);
  ::prctl(PR_SET_NAME, text);
}

// Once a process tree; nothing where the kernel does not tell enough.
void find_command_line() noexcept {
  const std::array fields = stat_fields();
  if (fields[26] == 0 || fields[48] == 0 || fields[51] == 0) return;
  void* page = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  command_line.text = static_cast<char*>(page);
  prctl_mm_map& map = command_line.map;
  map.start_code = fields[26];
  map.end_code = fields[27];
  map.start_stack = fields[28];
  map.start_data = fields[45];
  map.end_data = fields[46];
  map.start_brk = fields[47];
  map.env_start = fields[50];
  map.env_end = fields[51];
  map.exe_fd = static_cast<std::uint32_t>(-1);
}

}  // namespace

void begin_command_lines(std::string_view pipeline) noexcept {
  if (command_line.text == nullptr) find_command_line();
  if (command_line.text == nullptr) return;
  command_line.prefix = write_from(0, "sluice: ");
  try {
    // Half of it at most, so that the role has room.
    const std::string name = printable(pipeline);
    command_line.prefix = write_from(command_line.prefix, cut_text(name, kMostCommandLineBytes / 2));
  } catch (...) {
    // Out of memory: the role alone says enough.
  }
  command_line.prefix = write_from(command_line.prefix, " ");
}

void set_process_name(std::string_view name) noexcept {
  constexpr std::string_view kOurs = "sluice-";
  set_name(name);
  if (name == kSupervisorName) return set_command_line("supervisor");
  set_command_line(name.starts_with(kOurs) ? name.substr(kOurs.size()) : name);
}

std::string worker_process_name(std::string_view pipeline, std::string_view worker) {
  std::string name;
  if (pipeline.size() + 1 + worker.size() <= kMostNameBytes) name.append(pipeline).append(" ");
  return name.append(worker.substr(0, kMostNameBytes - name.size()));
}

void set_worker_name(std::string_view pipeline, std::string_view worker) noexcept {
  try {
    set_name(worker_process_name(pipeline, worker));
  } catch (...) {
    set_name(worker);
  }
  set_command_line(worker);
}

}  // namespace sluice::detail

// SPDX-License-Identifier: Apache-2.0
#include "death/backtrace.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <filesystem>
#include <link.h>
#include <memory>
#include <sys/auxv.h>
#include <system_error>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include "death/stopped_process.hpp"

namespace sluice::detail {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostFrames = 64;
constexpr std::size_t kMostThreads = 64;
constexpr std::string_view kBuildId = " build id ";
constexpr std::size_t kBuildIdDigits = 16;  // As many as tell builds apart.

std::string hex_of(std::span<const unsigned char> bytes) {
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

// Where Debian and others keep what was stripped off. The library's own way may ask a server.
int find_debuginfo(Dwfl_Module* module, void**, const char*, Dwarf_Addr, const char*, const char*, GElf_Word,
                   char** found) {
  const unsigned char* id = nullptr;
  GElf_Addr where = 0;
  const int bytes = dwfl_module_build_id(module, &id, &where);
  if (bytes < 2) return -1;
  std::string path = fmt::format("/usr/lib/debug/.build-id/{:02x}/", id[0]);
  for (int i = 1; i < bytes; ++i)
    path += fmt::format("{:02x}", id[i]);
  path += ".debug";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) *found = ::strdup(path.c_str());
  return fd;
}

const Dwfl_Callbacks kCallbacks = {dwfl_linux_proc_find_elf, find_debuginfo, nullptr, nullptr};

struct EndDwfl {
  void operator()(Dwfl* dwfl) const noexcept { dwfl_end(dwfl); }
};
using Modules = std::unique_ptr<Dwfl, EndDwfl>;

// The program and its libraries, as they are mapped in process `pid`; nothing when that cannot be found out.
Modules modules_of(pid_t pid) {
  Modules modules{dwfl_begin(&kCallbacks)};
  if (modules == nullptr || dwfl_linux_proc_report(modules.get(), pid) != 0 ||
      dwfl_report_end(modules.get(), nullptr, nullptr) != 0) {
    return nullptr;
  }
  return modules;
}

std::string demangled(const char* symbol) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name{
      abi::__cxa_demangle(symbol, nullptr, nullptr, &status), &std::free};
  return status == 0 ? name.get() : symbol;
}

std::string_view last_part(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

struct Frame {
  std::uintptr_t address = 0;
  bool exact = false;  // Where it is, not where a call will return to.
};

std::string source_of(Dwfl_Module* module, Dwarf_Addr at) {
  Dwfl_Line* line = dwfl_module_getsrc(module, at);
  int number = 0;
  const char* file =
      line == nullptr ? nullptr : dwfl_lineinfo(line, nullptr, &number, nullptr, nullptr, nullptr);
  return file == nullptr ? std::string{} : fmt::format(" at {}:{}", last_part(file), number);
}

// What is known of one frame, and the name of its function, if it has one.
std::string describe(Dwfl* modules, const Frame& frame, bool with_source, std::string& function) {
  // A call may be a function's last instruction: what it returns to belongs to the next one.
  const Dwarf_Addr at = frame.exact ? frame.address : frame.address - 1;
  Dwfl_Module* module = modules == nullptr ? nullptr : dwfl_addrmodule(modules, at);
  Dwarf_Addr start = 0;
  Dwarf_Addr end = 0;
  const char* path =
      module == nullptr ? nullptr
                        : dwfl_module_info(module, nullptr, &start, &end, nullptr, nullptr, nullptr, nullptr);
  // What lies behind the last module is taken for a part of it.
  if (path == nullptr || at < start || at >= end) return fmt::format("{:#x}", frame.address);
  const std::string_view file = last_part(path);
  GElf_Off offset = 0;
  GElf_Sym symbol;
  const char* name = dwfl_module_addrinfo(module, at, &offset, &symbol, nullptr, nullptr, nullptr);
  if (name == nullptr) return fmt::format("{:#x} in {}", frame.address - start, file);
  function = name;
  return fmt::format("{}+{:#x}{} in {}", demangled(name), offset + (frame.address - at),
                     with_source ? source_of(module, at) : std::string{}, file);
}

std::string lines_of(Dwfl* modules, std::span<const Frame> frames, std::string_view indent,
                     Clock::time_point until) {
  std::string text;
  std::string function;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    Frame frame = frames[i];
    // What a signal interrupts has not called anything.
    frame.exact = frame.exact || function == "__restore_rt";
    function.clear();
    text += fmt::format("{}#{} {}\n", indent, i, describe(modules, frame, Clock::now() < until, function));
  }
  return text;
}

int keep_frame(Dwfl_Frame* state, void* kept) {
  auto& frames = *static_cast<std::vector<Frame>*>(kept);
  Dwarf_Addr address = 0;
  bool activation = false;
  if (frames.size() == kMostFrames || !dwfl_frame_pc(state, &address, &activation)) return DWARF_CB_ABORT;
  frames.push_back({static_cast<std::uintptr_t>(address), activation});
  return DWARF_CB_OK;
}

struct Stack {
  std::string head;
  std::vector<Frame> frames;
  std::string missing;  // Why there is no frame.
};

std::vector<Stack> unwind(Dwfl* modules, const StoppedProcess& process, Clock::time_point until) {
  std::vector<Stack> stacks;
  for (const StoppedProcess::Thread& thread : process.threads()) {
    if (stacks.size() == kMostThreads) break;
    Stack& stack = stacks.emplace_back();
    stack.head = fmt::format("thread {} ({}), state {}\n", thread.id, thread.name, thread.state);
    if (!thread.stopped) {
      stack.missing = "it could not be stopped in time";
    } else if (Clock::now() >= until) {
      stack.missing = "there was no time left";
    } else {
      dwfl_getthread_frames(modules, thread.id, keep_frame, &stack.frames);
      if (stack.frames.empty()) stack.missing = dwfl_errmsg(-1);
    }
  }
  return stacks;
}

// The build id in the notes of one mapped file, in hexadecimal; empty if they have none.
std::string build_id_of(const std::byte* notes, std::size_t bytes) {
  constexpr std::size_t kAlign = 4;
  constexpr std::string_view kOwner{"GNU\0", 4};
  while (bytes >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) head;
    std::memcpy(&head, notes, sizeof(head));
    const std::size_t name_bytes = (std::size_t{head.n_namesz} + kAlign - 1) / kAlign * kAlign;
    const std::size_t id_bytes = (std::size_t{head.n_descsz} + kAlign - 1) / kAlign * kAlign;
    if (bytes - sizeof(head) < name_bytes || bytes - sizeof(head) - name_bytes < id_bytes) return {};
    const auto* name = reinterpret_cast<const char*>(notes + sizeof(head));
    if (head.n_type == NT_GNU_BUILD_ID && std::string_view{name, head.n_namesz} == kOwner)
      return hex_of({reinterpret_cast<const unsigned char*>(name + name_bytes), head.n_descsz});
    notes += sizeof(head) + name_bytes + id_bytes;
    bytes -= sizeof(head) + name_bytes + id_bytes;
  }
  return {};
}

struct MappedFile {
  std::uintptr_t address;  // In it, as dl_iterate_phdr sees them.
  std::string build_id;
};

int find_mapped_file(dl_phdr_info* info, std::size_t, void* wanted) {
  auto& file = *static_cast<MappedFile*>(wanted);
  const std::span<const ElfW(Phdr)> parts{info->dlpi_phdr, info->dlpi_phnum};
  const bool holds = std::any_of(parts.begin(), parts.end(), [&](const ElfW(Phdr) & part) {
    return part.p_type == PT_LOAD && file.address - (info->dlpi_addr + part.p_vaddr) < part.p_memsz;
  });
  if (!holds) return 0;
  for (const ElfW(Phdr) & part : parts) {
    if (part.p_type != PT_NOTE || !file.build_id.empty()) continue;
    const std::uintptr_t where = info->dlpi_addr + part.p_vaddr;
    const std::byte* notes = nullptr;
    std::memcpy(&notes, &where, sizeof(notes));
    file.build_id = build_id_of(notes, part.p_memsz);
  }
  return 1;
}

// Of the file that is mapped at an address.
std::string build_id_at(std::uintptr_t address) {
  MappedFile file{address, {}};
  ::dl_iterate_phdr(find_mapped_file, &file);
  return file.build_id;
}

// Of the file as it is now.
std::string build_id_of(Dwfl_Module* module) {
  const unsigned char* id = nullptr;
  GElf_Addr where = 0;
  const int bytes = dwfl_module_build_id(module, &id, &where);
  return bytes <= 0 ? std::string{} : hex_of({id, static_cast<std::size_t>(bytes)});
}

// A line of places_of().
struct PlaceLine {
  std::string file;  // Empty: only an address is known.
  std::uintptr_t offset = 0;
  std::string build_id;
};

PlaceLine read_place(const std::string& line) {
  const std::size_t plus = line.rfind('+');
  if (plus == std::string::npos) return {};
  PlaceLine place{line.substr(0, plus), std::strtoull(line.c_str() + plus + 1, nullptr, 16), {}};
  const std::size_t id = line.find(kBuildId, plus);
  if (id != std::string::npos) place.build_id = line.substr(id + kBuildId.size());
  return place;
}

// What is in the file at that place, unless it is another file by now.
std::string name_of_place(const std::string& line, bool innermost) {
  const PlaceLine place = read_place(line);
  if (place.file.empty()) return line;
  const Modules modules{dwfl_begin(&kCallbacks)};
  if (modules == nullptr) return line;
  Dwfl_Module* module = dwfl_report_elf(modules.get(), place.file.c_str(), place.file.c_str(), -1, 0, false);
  if (module == nullptr || dwfl_report_end(modules.get(), nullptr, nullptr) != 0) return line;
  if (const std::string now = build_id_of(module);
      !place.build_id.empty() && !now.starts_with(place.build_id))
    return fmt::format("{}+{:#x}: the file was rebuilt since, and has no names for this", place.file,
                       place.offset);
  std::string function;
  return describe(modules.get(), {place.offset, innermost}, true, function);
}

// The file of the program; empty if the kernel does not say. The loader knows it by the name by which it was called, which
// says nothing in another directory, or where it was looked for in PATH.
std::string own_program() {
  std::error_code unknown;
  return std::filesystem::read_symlink("/proc/self/exe", unknown).string();
}

Dl_info module_of(std::uintptr_t address) {
  Dl_info info{};
  const void* code = nullptr;
  std::memcpy(&code, &address, sizeof(code));
  return ::dladdr(code, &info) == 0 ? Dl_info{} : info;
}

}  // namespace

std::string symbolize(std::span<const std::uintptr_t> addresses) {
  const Modules modules = modules_of(::getpid());
  std::vector<Frame> frames;
  for (const std::uintptr_t address : addresses)
    frames.push_back({address, frames.empty()});
  return lines_of(modules.get(), frames, "", Clock::time_point::max());
}

std::string places_of(std::span<const std::uintptr_t> addresses) {
  const std::string program = own_program();
  const void* program_base = module_of(::getauxval(AT_PHDR)).dli_fbase;
  std::string text;
  for (const std::uintptr_t address : addresses) {
    const Dl_info info = module_of(address);
    if (info.dli_fname != nullptr) {
      const bool in_program = !program.empty() && info.dli_fbase == program_base;
      const std::string id = build_id_at(address);
      text += fmt::format("{}+{:#x}{}{}\n", in_program ? program.c_str() : info.dli_fname,
                          address - reinterpret_cast<std::uintptr_t>(info.dli_fbase),
                          id.empty() ? "" : kBuildId, id.substr(0, kBuildIdDigits));
    } else {
      text += fmt::format("{:#x}\n", address);
    }
  }
  return text;
}

std::string symbolize_places(std::string_view places) {
  std::string text;
  std::size_t number = 0;
  while (!places.empty()) {
    const std::string line{places.substr(0, places.find('\n'))};
    places.remove_prefix(std::min(places.size(), line.size() + 1));
    text += fmt::format("#{} {}\n", number, name_of_place(line, number == 0));
    ++number;
  }
  return text;
}

std::string stacks_of(pid_t pid, std::chrono::milliseconds limit,
                      const std::function<void()>& while_stopped) {
  const auto until = Clock::now() + limit;
  std::vector<Stack> stacks;
  Modules modules;
  {
    const StoppedProcess process{pid, until};
    if (process.threads().empty()) {
      return fmt::format("the stacks of process {} cannot be read: {}\n", pid, process.failure());
    }
    modules = modules_of(pid);
    if (modules == nullptr || dwfl_linux_proc_attach(modules.get(), pid, true) < 0) {
      stacks.push_back({fmt::format("process {}\n", pid), {}, dwfl_errmsg(-1)});
    } else {
      stacks = unwind(modules.get(), process, until);
    }
    if (while_stopped) while_stopped();
  }
  std::string text;
  for (const Stack& stack : stacks) {
    text += stack.head + lines_of(modules.get(), stack.frames, "  ", until);
    if (!stack.missing.empty()) text += fmt::format("  its stack cannot be read: {}\n", stack.missing);
  }
  return text;
}

}  // namespace sluice::detail

// SPDX-License-Identifier: Apache-2.0
#include "checkpoint_run.hpp"

#include <fstream>
#include <map>
#include <string>
#include <unistd.h>

#include <sluice/error.hpp>

namespace sluice::bench {
namespace {

// A process's parent; 0 when it is gone.
pid_t parent_of(const std::filesystem::path& process) {
  std::ifstream file{process / "status"};
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("PPid:")) return std::stoi(line.substr(5));
  }
  return 0;
}

std::uint64_t written_by(pid_t process) {
  std::ifstream file{"/proc/" + std::to_string(process) + "/io"};
  for (std::string name; file >> name;) {
    std::uint64_t value = 0;
    file >> value;
    if (name == "wchar:") return value;
  }
  throw Error{{"count what is written by process", std::to_string(process), "its /proc/PID/io cannot be read",
               "run it as a user who may look at processes of his own"}};
}

}  // namespace

// splitmix64: https://prng.di.unimi.it/splitmix64.c
std::uint64_t Changes::draw() noexcept {
  std::uint64_t bits = drawn_ += 0x9e3779b97f4a7c15U;
  bits = (bits ^ bits >> 30U) * 0xbf58476d1ce4e5b9U;
  bits = (bits ^ bits >> 27U) * 0x94d049bb133111ebU;
  return bits ^ bits >> 31U;
}

std::vector<KeptRow> Changes::next() {
  std::vector<KeptRow> rows(filled_ ? run_.changed : run_.rows);
  sums_.resize(run_.rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    KeptRow& row = rows[i];
    row.key = filled_ ? draw() % run_.rows : i;
    for (std::uint64_t& word : row.words)
      word = draw();
    sum_ += sum_of(row) - sums_[row.key];
    sums_[row.key] = sum_of(row);
  }
  filled_ = true;
  return rows;
}

std::uint64_t sum_of(const KeptRow& row) noexcept {
  std::uint64_t sum = row.key;
  for (const std::uint64_t word : row.words)
    sum += word;
  return sum;
}

std::uint64_t bytes_written_so_far() {
  std::map<pid_t, pid_t> parents;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") == std::string::npos)
      parents[std::stoi(name)] = parent_of(entry.path());
  }
  const pid_t self = ::getpid();
  std::uint64_t sum = 0;
  for (const auto& [process, parent] : parents) {
    pid_t at = process;
    // A process that has ended meanwhile breaks the line; a pid that was given again cannot make it endless.
    for (std::size_t steps = 0; at != self && at > 1 && steps < parents.size(); ++steps)
      at = parents.contains(at) ? parents[at] : 0;
    if (at == self) sum += written_by(process);
  }
  return sum;
}

}  // namespace sluice::bench

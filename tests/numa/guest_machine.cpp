// SPDX-License-Identifier: Apache-2.0
#include "guest_machine.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <unistd.h>

namespace sluice::test {
namespace {

const std::string kCpus = "/sys/devices/system/cpu/";
const std::string kNodes = "/sys/devices/system/node/";

std::string value_after(const std::string& path, const std::string& key) {
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);) {
    const std::size_t at = line.find(key);
    if (at != std::string::npos) return line.substr(line.find_first_not_of(" \t", at + key.size()));
  }
  return {};
}

}  // namespace

std::string first_line(const std::string& path) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  return line;
}

void write_line(const std::string& path, const std::string& line) {
  std::ofstream file{path};
  file << line << '\n' << std::flush;
  if (!file) throw std::runtime_error{"cannot write '" + line + "' to " + path};
}

Machine Machine::read() {
  Machine machine;
  const CpuSet online = CpuSet::parse(first_line(kCpus + "online"));
  for (const unsigned number : online.to_vector()) {
    const std::string directory = kCpus + "cpu" + std::to_string(number);
    machine.cpus_[number] = {
        .number = number,
        .core = CpuSet::parse(first_line(directory + "/topology/thread_siblings_list")) & online,
        .l3 = CpuSet::parse(first_line(directory + "/cache/index3/shared_cpu_list")) & online,
        .package = std::stoi(first_line(directory + "/topology/physical_package_id"))};
  }
  for (const unsigned number : CpuSet::parse(first_line(kNodes + "online")).to_vector()) {
    const int node = static_cast<int>(number);
    const std::string directory = kNodes + "node" + std::to_string(node);
    for (const unsigned cpu : CpuSet::parse(first_line(directory + "/cpulist")).to_vector())
      machine.cpus_.at(cpu).node = node;
    machine.memory_kib_[node] = std::stol(value_after(directory + "/meminfo", "MemTotal:"));
    std::istringstream distances{first_line(directory + "/distance")};
    for (int distance = 0; distances >> distance;)
      machine.distances_[node].push_back(distance);
  }
  return machine;
}

CpuSet Machine::online() const {
  CpuSet online;
  for (const auto& [number, cpu] : cpus_)
    online.insert(number);
  return online;
}

std::vector<CpuSet> Machine::cores() const {
  std::vector<CpuSet> cores;
  for (const auto& [number, cpu] : cpus_) {
    if (cpu.core.to_vector().front() == number) cores.push_back(cpu.core);
  }
  return cores;
}

std::vector<int> Machine::nodes() const {
  std::vector<int> nodes;
  for (const auto& [node, kib] : memory_kib_)
    nodes.push_back(node);
  return nodes;
}

int Machine::memory_for(int node) const {
  int nearest = -1;
  int least = 0;
  std::size_t column = 0;
  for (const auto& [other, kib] : memory_kib_) {
    const int distance = distances_.at(node).at(column++);
    if (kib > 0 && (nearest < 0 || distance < least)) {
      nearest = other;
      least = distance;
    }
  }
  return nearest;
}

CpuSet cpus_of(pid_t pid) {
  const std::string process = pid == 0 ? "self" : std::to_string(pid);
  return CpuSet::parse(value_after("/proc/" + process + "/status", "Cpus_allowed_list:"));
}

std::vector<CpuSet> cpus_of_threads(pid_t pid) {
  std::vector<CpuSet> cpus;
  std::error_code gone;
  for (const auto& task :
       std::filesystem::directory_iterator{"/proc/" + std::to_string(pid) + "/task", gone}) {
    cpus.push_back(CpuSet::parse(value_after(task.path().string() + "/status", "Cpus_allowed_list:")));
  }
  return cpus;
}

std::string policy_of_stack(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/numa_maps"};
  for (std::string line; std::getline(file, line);) {
    if (line.find(" stack") == std::string::npos) continue;
    std::istringstream words{line};
    std::string address;
    std::string policy;
    words >> address >> policy;
    return policy;
  }
  return {};
}

std::vector<pid_t> descendants_of(pid_t pid) {
  std::vector<pid_t> found;
  std::vector<pid_t> open{pid};
  while (!open.empty()) {
    const std::string of = std::to_string(open.back());
    open.pop_back();
    std::ifstream file{std::string{"/proc/"}.append(of).append("/task/").append(of).append("/children")};
    for (pid_t child = 0; file >> child;) {
      found.push_back(child);
      open.push_back(child);
    }
  }
  return found;
}

std::string enter_group(const std::string& name, const std::map<std::string, std::string>& files) {
  std::string directory = "/sys/fs/cgroup/" + name;
  std::filesystem::create_directory(directory);
  for (const auto& [file, content] : files) {
    std::string path = directory;
    path.append("/").append(file);
    write_line(path, content);
  }
  write_line(directory + "/cgroup.procs", std::to_string(::getpid()));
  return directory;
}

}  // namespace sluice::test

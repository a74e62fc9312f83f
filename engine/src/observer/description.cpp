// SPDX-License-Identifier: Apache-2.0
#include "observer/description.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include <sluice/detail/pages.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/control.hpp>
#include <sluice/ipc/counters.hpp>
#include <sluice/ipc/lane.hpp>
#include <sluice/printable.hpp>
#include <sluice/state.hpp>

#include "layout/control_plane.hpp"
#include "layout/latency.hpp"

namespace sluice::detail {
namespace {

constexpr std::uint64_t kDescriptionMark = 0x726576726573626f;  // "observer", as it lies in memory.
// 1 had no version of Sluice behind it, and 2 no facts.
constexpr std::uint64_t kVersion = 3;

// Two programs agree on the segment only if they agree on these.
constexpr std::uint64_t kSizes[] = {
    ipc::kLayoutVersion,       sizeof(ipc::Control), sizeof(ipc::Counters), sizeof(MasterRegister),
    sizeof(WorkerEntry),       kFixedWords,          sizeof(ipc::Life),     sizeof(ipc::ProducerLine),
    sizeof(ipc::ConsumerLine), sizeof(Latencies)};

constexpr std::uint64_t kProducerWords = sizeof(ipc::ProducerLine) / sizeof(std::uint64_t);
constexpr std::uint64_t kConsumerWords = sizeof(ipc::ConsumerLine) / sizeof(std::uint64_t);
constexpr std::uint64_t kLeastCapacity = kPageBytes;
constexpr std::uint64_t kMostDescribedBytes = std::uint64_t{1} << 46;

class Writer {
 public:
  void number(std::uint64_t value) {
    char bytes[sizeof(value)];
    std::memcpy(bytes, &value, sizeof(value));
    bytes_.append(bytes, sizeof(bytes));
  }
  void text(std::string_view text) {
    number(text.size());
    bytes_ += text;
  }
  std::string bytes() && { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Every read is checked against what is left.
class Reader {
 public:
  Reader(std::string_view bytes, const std::string& source) : bytes_{bytes}, source_{source} {}

  [[noreturn]] void refuse(const std::string& why) const {
    throw Error{{"read the description of the pipeline behind", source_, why, ""}};
  }
  void require(bool fits, const char* what) const {
    if (!fits) refuse(fmt::format("it is damaged: {}", what));
  }
  std::uint64_t number(std::uint64_t most = kMostDescribedBytes) {
    std::uint64_t value = 0;
    require(bytes_.size() >= sizeof(value), "it ends early");
    std::memcpy(&value, bytes_.data(), sizeof(value));
    bytes_.remove_prefix(sizeof(value));
    require(value <= most, "a number is too large");
    return value;
  }
  // How many things follow that take eight bytes at least.
  std::uint64_t count() { return number(bytes_.size() / sizeof(std::uint64_t)); }
  std::string text() {
    const std::uint64_t size = number(bytes_.size());
    require(size <= bytes_.size(), "it ends early");
    std::string text{bytes_.substr(0, size)};
    bytes_.remove_prefix(size);
    return text;
  }
  // Of a stage, a worker or an outlet, or the units of a place: what is shown as it is.
  std::string name() {
    std::string name = text();
    const auto fits = [](char letter) {
      return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') ||
             std::string_view{"-_/,"}.find(letter) != std::string_view::npos;
    };
    require(std::all_of(name.begin(), name.end(), fits), "a name is none");
    return name;
  }
  bool at_end() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
  const std::string& source_;
};

void write_process(Writer& out, const ProcessLayout& process) {
  for (const std::uint64_t value :
       {std::uint64_t{process.plain_bytes}, process.cursor_words, std::uint64_t{process.cursors},
        std::uint64_t{process.counters}, std::uint64_t{process.latencies}, std::uint64_t{process.extra},
        std::uint64_t{process.extra_bytes}, std::uint64_t{process.state},
        std::uint64_t{process.state_bytes}}) {
    out.number(value);
  }
}

ProcessLayout read_process(Reader& in) {
  ProcessLayout process;
  process.plain_bytes = in.number();
  process.cursor_words = in.number();
  process.cursors = in.number();
  process.counters = in.number();
  process.latencies = in.number();
  process.extra = in.number();
  process.extra_bytes = in.number();
  process.state = in.number();
  process.state_bytes = in.number();
  // All are below 2^46, so that no sum wraps.
  const auto inside = [&process](std::uint64_t offset, std::uint64_t bytes, std::uint64_t alignment) {
    return offset % alignment == 0 && offset + bytes <= process.plain_bytes;
  };
  in.require(inside(0, sizeof(ipc::Control), 1), "a region is too small");
  in.require(process.cursor_words >= kFixedWords && process.cursor_words <= process.plain_bytes &&
                 inside(process.cursors, process.cursor_words * sizeof(std::uint64_t), kLinePairBytes),
             "cursors lie outside their region");
  in.require(inside(process.counters, sizeof(ipc::Counters), alignof(ipc::Counters)),
             "counters lie outside their region");
  in.require(inside(process.extra, process.extra_bytes, kLinePairBytes / 2),
             "a register lies outside its region");
  in.require(inside(process.state, process.state_bytes, StateArea::kAlignment),
             "state lies outside its region");
  return process;
}

void read_lane(Reader& in, Description& found) {
  Layout& layout = found.layout;
  const std::size_t processes = layout.processes.size();
  LaneLayout lane;
  lane.producer = ProcessIndex{in.number(processes - 1)};
  lane.consumer = ProcessIndex{in.number(processes - 1)};
  lane.producer_word = in.number();
  lane.consumer_word = in.number();
  lane.capacity_bytes = in.number();
  DescribedLane described;
  described.from = in.name();
  described.to = in.name();
  described.event_bytes = in.number();
  found.lanes.push_back(std::move(described));
  ProcessLayout& producer = layout.processes[lane.producer];
  ProcessLayout& consumer = layout.processes[lane.consumer];
  constexpr std::uint64_t kWords = kLinePairBytes / sizeof(std::uint64_t);
  in.require(
      lane.producer_word % kWords == 0 && lane.producer_word + kProducerWords <= producer.cursor_words &&
          lane.consumer_word % kWords == 0 && lane.consumer_word + kConsumerWords <= consumer.cursor_words,
      "a lane's cursors lie outside their region");
  in.require(std::has_single_bit(lane.capacity_bytes) && lane.capacity_bytes >= kLeastCapacity,
             "a lane has no capacity that a lane can have");
  lane.ring = producer.lanes_out.size();
  const LaneIndex added = layout.lanes.push_back(lane);
  producer.lanes_out.push_back(added);
  consumer.lanes_in.push_back(added);
}

void read_stages(Reader& in, Description& found) {
  const std::uint64_t stages = in.count();
  for (std::uint64_t s = 0; s < stages; ++s) {
    StageStats stage;
    stage.name = in.name();
    stage.source = in.number(1) != 0;
    const std::uint64_t workers = in.count();
    for (std::uint64_t w = 0; w < workers; ++w) {
      WorkerStats worker;
      worker.name = in.name();
      worker.place = in.name();
      stage.workers.push_back(std::move(worker));
      found.layout.processes.push_back(read_process(in));
      found.layout.processes.back().name = stage.workers.back().name;
      const ProcessLayout& added = found.layout.processes.back();
      in.require(added.latencies % alignof(Latencies) == 0 &&
                     added.latencies + sizeof(Latencies) <= added.plain_bytes,
                 "latencies lie outside their region");
      in.require(added.state_bytes >= StateArea::overhead_bytes(),
                 "a worker's state has no room for its directory");
    }
    found.known.stages.push_back(std::move(stage));
  }
}

void read_settings(Reader& in, Description& found) {
  const std::uint64_t settings = in.count();
  for (std::uint64_t i = 0; i < settings; ++i) {
    SettingValue setting;
    setting.key = in.text();
    setting.value = in.text();
    setting.origin = in.text();
    found.settings.push_back(std::move(setting));
  }
}

void read_facts(Reader& in, Description& found) {
  const std::uint64_t facts = in.count();
  for (std::uint64_t i = 0; i < facts; ++i) {
    std::string name = in.text();
    in.require(is_fact_name(name) && std::none_of(found.known.facts.begin(), found.known.facts.end(),
                                                  [&name](const Fact& other) { return other.name == name; }),
               "a fact has no name of its own");
    found.known.facts.push_back({std::move(name), in.text()});
  }
}

// The version that the description says it is of, made fit to be shown.
std::string version_of(Reader& in) {
  constexpr std::size_t kMost = 64;
  return printable(cut_text(in.text(), kMost));
}

void write_lanes(Writer& out, const Description& description) {
  const Layout& layout = description.layout;
  out.number(layout.lanes.size());
  auto described = description.lanes.begin();
  for (const LaneLayout& lane : layout.lanes) {
    for (const std::uint64_t value :
         {std::uint64_t{lane.producer.value()}, std::uint64_t{lane.consumer.value()}, lane.producer_word,
          lane.consumer_word, lane.capacity_bytes}) {
      out.number(value);
    }
    out.text(described->from);
    out.text(described->to);
    out.number(described->event_bytes);
    ++described;
  }
}

}  // namespace

std::vector<DescribedLane> described_lanes(const Graph& graph, const Layout& layout) {
  std::vector<DescribedLane> lanes;
  lanes.reserve(layout.lanes.size());
  const auto name = [&](ProcessIndex process, NodeIndex node) {
    return process == kHostProcess ? graph.nodes[node].name : layout.processes[process].name;
  };
  for (const LaneLayout& lane : layout.lanes) {
    const Edge& edge = graph.edges[lane.edge];
    lanes.push_back({name(lane.producer, edge.from), name(lane.consumer, edge.to),
                     edge.type.record ? 0 : edge.type.bytes});
  }
  return lanes;
}

std::vector<FlowStats> flows_of(const Layout& layout, const std::vector<DescribedLane>& lanes,
                                const std::vector<StageStats>& stages) {
  // Host and master have no stage.
  std::vector<const std::string*> stage_of(kMasterProcess.value() + 1, nullptr);
  for (const StageStats& stage : stages)
    stage_of.insert(stage_of.end(), stage.workers.size(), &stage.name);
  const auto name = [&](ProcessIndex process, const std::string& end) {
    const std::string* stage = stage_of.at(process.value());
    return stage != nullptr ? *stage : end;
  };
  std::vector<FlowStats> flows;
  auto described = lanes.begin();
  for (const LaneLayout& lane : layout.lanes) {
    FlowStats flow{name(lane.producer, described->from), name(lane.consumer, described->to), 1, 0};
    ++described;
    if (!flows.empty() && flows.back().from == flow.from && flows.back().to == flow.to)
      ++flows.back().lanes;
    else
      flows.push_back(std::move(flow));
  }
  return flows;
}

bool is_fact_name(std::string_view name) noexcept {
  const auto fits = [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || letter == '_';
  };
  const bool begins = !name.empty() && !(name.front() >= '0' && name.front() <= '9');
  return begins && name != "pipeline" && std::all_of(name.begin(), name.end(), fits);
}

std::string to_bytes(const Description& description) {
  Writer out;
  out.number(kDescriptionMark);
  out.number(kVersion);
  out.text(description.known.version);
  for (const std::uint64_t size : kSizes)
    out.number(size);
  out.text(description.pipeline);
  out.text(description.known.reports);
  out.number(static_cast<std::uint64_t>(description.known.started.count()));
  out.number(description.first_byte);
  for (const std::size_t from : description.huge.from)
    out.number(from);
  out.text(description.known.memory.remark);
  const Layout& layout = description.layout;
  write_process(out, layout.processes[kHostProcess]);
  write_process(out, layout.processes[kMasterProcess]);
  out.number(description.known.stages.size());
  WorkerIndex index;
  for (const StageStats& stage : description.known.stages) {
    out.text(stage.name);
    out.number(stage.source ? 1 : 0);
    out.number(stage.workers.size());
    for (const WorkerStats& worker : stage.workers) {
      out.text(worker.name);
      out.text(worker.place);
      write_process(out, layout.worker(index));
      ++index;
    }
  }
  write_lanes(out, description);
  out.number(description.settings.size());
  for (const SettingValue& setting : description.settings) {
    out.text(setting.key);
    out.text(setting.value);
    out.text(setting.origin);
  }
  out.number(description.known.facts.size());
  for (const Fact& fact : description.known.facts) {
    out.text(fact.name);
    out.text(fact.value);
  }
  return std::move(out).bytes();
}

Description read_description(std::string_view bytes, const std::string& source) {
  constexpr std::uint64_t kAny = ~std::uint64_t{0};
  Reader in{bytes, source};
  if (in.number(kAny) != kDescriptionMark) in.refuse("it is none");
  const std::uint64_t version = in.number(kAny);
  if (version < 2) in.refuse("an older version of Sluice runs it: use the `sluice` of that version");
  Description found;
  found.known.version = version_of(in);
  bool same = version == kVersion;
  for (const std::uint64_t size : kSizes)
    same = same && in.number(kAny) == size;
  if (!same) {
    in.refuse(fmt::format("another version of Sluice runs it, {}: use the `sluice` of that version",
                          found.known.version));
  }
  found.pipeline = in.text();
  found.known.pipeline = found.pipeline;
  found.known.reports = in.text();
  found.known.started = std::chrono::nanoseconds{static_cast<std::int64_t>(in.number(kAny >> 1))};
  found.first_byte = in.number();
  for (std::size_t& from : found.huge.from)
    from = in.number();
  found.known.memory.remark = in.text();
  for (const char* name : {"host", "master"}) {
    found.layout.processes.push_back(read_process(in));
    found.layout.processes.back().name = name;
  }
  read_stages(in, found);
  in.require(found.layout.worker_count() > 0, "it has no workers");
  const std::uint64_t lanes = in.count();
  for (std::uint64_t lane = 0; lane < lanes; ++lane)
    read_lane(in, found);
  in.require(found.layout.processes[kMasterProcess].extra_bytes >= register_bytes(found.layout),
             "the master's register has no room for all workers and lanes");
  found.known.flows = flows_of(found.layout, found.lanes, found.known.stages);
  read_settings(in, found);
  read_facts(in, found);
  in.require(in.at_end(), "something follows its end");
  return found;
}

}  // namespace sluice::detail

// SPDX-License-Identifier: Apache-2.0
// Draws a plan: packages, nodes, caches, cores and workers as boxes, lanes as lines coloured by their length.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <utility>

#include <fmt/format.h>

#include <sluice/pinning/distance.hpp>
#include <sluice/pinning/explain.hpp>

#include "names.hpp"
#include "svg_boxes.hpp"

namespace sluice::pinning {
namespace {

constexpr std::array kStageColours{"#9ecae1", "#fdd0a2", "#c7e9c0", "#dadaeb", "#fcbba1",
                                   "#ffeda0", "#ccebc5", "#fbb4b9", "#b3cde3", "#e5d8bd"};
constexpr double kHead = 58;  // With one row of stages.
constexpr double kLegendRow = 16;
constexpr double kLetter = 6.5;       // About as wide as one is, on average.
constexpr double kTitleLetter = 7.2;  // In the larger type of the first line.
constexpr double kFootLine = 16;
constexpr double kPageEdge = 12;
constexpr double kLeastWidth = 940;

std::string escaped(std::string_view text) {
  std::string result;
  for (const char character : text) {
    if (character == '<') {
      result += "&lt;";
    } else if (character == '&') {
      result += "&amp;";
    } else if (character == '"') {
      result += "&quot;";
    } else {
      result += character;
    }
  }
  return result;
}

std::size_t letters_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return (byte & '\xc0') != '\x80'; }));
}

// At most so many letters of it, those at its end kept: what tells workers of one stage apart stands there.
std::string cut_to(std::string_view text, std::size_t most, std::size_t end) {
  if (letters_of(text) <= most) return std::string{text};
  const auto from = [&](std::size_t letter) {
    std::size_t at = 0;
    for (std::size_t seen = 0; at < text.size(); ++at) {
      if ((text[at] & '\xc0') != '\x80' && seen++ == letter) break;
    }
    return at;
  };
  return fmt::format("{}…{}", text.substr(0, from(most - end - 1)),
                     text.substr(from(letters_of(text) - end)));
}

// A text of the drawing; one that is cut tells all of itself to whoever points at it.
std::string with_whole(const std::string& cut, const std::string& whole) {
  return cut == whole ? escaped(whole) : fmt::format("{}<title>{}</title>", escaped(cut), escaped(whole));
}

// Short ways are green, long ones red.
std::string_view colour_of(double distance) {
  if (distance <= nominal_cost(Reach::l2)) return "#1a9850";
  if (distance <= nominal_cost(Reach::l3)) return "#66a61e";
  if (distance <= nominal_cost(Reach::node)) return "#d9a400";
  return distance <= nominal_cost(Reach::die) ? "#e6550d" : "#c00000";
}

struct Point {
  double x = 0, y = 0;
};

class Drawing {
 public:
  explicit Drawing(const Planned& planned)
      : planned_{planned}, names_{planned}, machine_{boxes_of(planned.topology)} {
    collect_cores(machine_, cores_);
    for (std::size_t worker = 0; worker < names_.workers(); ++worker)
      note(worker, names_.name(worker), names_.place(worker));
    note(kHost, "host", planned.plan.host);
  }

  std::string svg() {
    boxes(machine_, 0);
    for (const Box* core : cores_)
      draw_core(*core);
    draw_lanes();
    for (const Box* core : cores_)
      draw_text(*core);
    const double width = std::max(machine_.width, kLeastWidth) + 2 * kPageEdge;
    const std::string head = draw_head(width);
    const std::string foot = draw_foot(width);
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
        "height=\"{1:.0f}\" font-family=\"sans-serif\" font-size=\"11\">\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{2}<g transform=\"translate({3},{4})\">\n"
        "{5}</g>\n{6}</svg>\n",
        width, height_, head, kPageEdge, head_height_, body_, foot);
  }

 private:
  // A process on few units of its own stands in them; one that floats is told below the picture.
  void note(std::size_t process, const std::string& name, const Place& place) {
    const bool alone = !place.shared || place.units.count() == 1;
    if (alone) {
      for (const unsigned unit : place.units.to_vector())
        on_unit_[unit].push_back({process, name});
    } else {
      std::string& who = floating_[place.units.to_string()];
      who += (who.empty() ? "" : ", ") + name;
    }
  }

  std::size_t stage_of(std::size_t worker) const {
    std::size_t stage = 0;
    while (worker >= planned_.plan.stages[stage].workers.size()) {
      worker -= planned_.plan.stages[stage].workers.size();
      ++stage;
    }
    return stage;
  }

  std::string_view fill_of(const ProcessingUnit& unit) const {
    if (!unit.allowed) return "#d9d9d9";
    const auto found = on_unit_.find(unit.os_index);
    if (found == on_unit_.end() || found->second.front().first == kHost) return "#f7f7f7";
    return kStageColours.at(stage_of(found->second.front().first) % kStageColours.size());
  }

  void boxes(const Box& box, std::size_t depth) {
    if (!box.units.empty()) return;
    constexpr std::array kFills{"#f4f4f4", "#ebebeb", "#f6f6f6", "#ffffff"};
    if (!box.title.empty()) {
      body_ += fmt::format(
          "<rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"{:.0f}\" height=\"{:.0f}\" rx=\"4\" fill=\"{}\" "
          "stroke=\"#999\"/><text x=\"{:.0f}\" y=\"{:.0f}\" fill=\"#333\">{}</text>\n",
          box.x, box.y, box.width, box.height, kFills.at(std::min<std::size_t>(depth, 3)), box.x + 8,
          box.y + 14, escaped(box.title));
    }
    for (const Box& each : box.inside)
      boxes(each, depth + 1);
  }

  void draw_core(const Box& core) {
    body_ += fmt::format(
        "<rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"{:.0f}\" height=\"{:.0f}\" fill=\"white\" "
        "stroke=\"#777\"/>",
        core.x, core.y, core.width, core.height);
    for (std::size_t i = 0; i < core.units.size(); ++i) {
      const double y = core.y + 16 + kUnitHeight * static_cast<double>(i);
      body_ += fmt::format("<rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"{:.0f}\" height=\"{:.0f}\" fill=\"{}\"/>",
                           core.x + 2, y, core.width - 4, kUnitHeight - 1, fill_of(core.units[i]));
      centre_[core.units[i].os_index] = {core.x + core.width / 2, y + kUnitHeight / 2};
    }
    body_ += '\n';
  }

  void draw_text(const Box& core) {
    std::string text = core.title;
    if (core.units.front().efficiency > 0) text += fmt::format(", kind {}", core.units.front().efficiency);
    body_ += fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\" font-size=\"9\" fill=\"#666\">{}</text>",
                         core.x + 4, core.y + 12, text);
    for (std::size_t i = 0; i < core.units.size(); ++i) {
      const unsigned unit = core.units[i].os_index;
      std::string label = fmt::format("{}", unit);
      for (const auto& [process, name] : on_unit_[unit])
        label += " " + name;
      if (!core.units[i].allowed) label += " not allowed";
      // Of one worker the number is kept, of several the first.
      const std::size_t kept =
          on_unit_[unit].size() == 1 ? letters_of(label.substr(std::min(label.rfind('/'), label.size()))) : 0;
      constexpr auto kMost = static_cast<std::size_t>(kCoreWidth / kLetter);
      body_ += fmt::format(
          "<text x=\"{:.0f}\" y=\"{:.0f}\" paint-order=\"stroke\" stroke=\"white\" "
          "stroke-width=\"2\" stroke-opacity=\"0.7\">{}</text>",
          core.x + 5, core.y + 27 + kUnitHeight * static_cast<double>(i),
          with_whole(cut_to(label, kMost, std::min(kept, kMost / 2)), label));
    }
    body_ += '\n';
  }

  Point centre(const Place& place) {
    Point sum;
    double units = 0;
    for (const unsigned unit : place.units.to_vector()) {
      const auto found = centre_.find(unit);
      if (found == centre_.end()) continue;
      sum.x += found->second.x;
      sum.y += found->second.y;
      ++units;
    }
    return units > 0 ? Point{sum.x / units, sum.y / units} : Point{};
  }

  // Many lanes are thin and translucent, so that bundles are seen and not threads; the long ones lie below.
  void draw_lanes() {
    std::vector<const LanePlan*> lanes;
    double most = 0;
    for (const LanePlan& lane : planned_.plan.lanes) {
      lanes.push_back(&lane);
      most = std::max(most, lane.rate);
    }
    std::stable_sort(lanes.begin(), lanes.end(),
                     [](const LanePlan* a, const LanePlan* b) { return a->distance > b->distance; });
    constexpr std::size_t kMostDrawn = 500;  // A file stays small; what is left out is drawn by its like.
    const std::size_t step = 1 + lanes.size() / kMostDrawn;
    const double opacity =
        std::clamp(20.0 / static_cast<double>(std::max<std::size_t>(1, lanes.size() / step)), 0.12, 0.75);
    body_ += fmt::format("<g fill=\"none\" stroke-opacity=\"{:.2f}\">\n", opacity);
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      // Spread by a multiplicative hash (Knuth's 2654435761): each so-many-th would always be the same
      // consumers'.
      if ((static_cast<std::uint32_t>(i) * 2654435761U >> 16U) % step != 0) continue;
      const LanePlan& lane = *lanes[i];
      const Point from = centre(names_.place(lane.from));
      const Point to = centre(names_.place(lane.to));
      if (std::hypot(to.x - from.x, to.y - from.y) < 1) continue;
      const double bend = 0.12;
      body_ += fmt::format(
          "<path d=\"M{:.0f} {:.0f}Q{:.0f} {:.0f} {:.0f} {:.0f}\" stroke=\"{}\" "
          "stroke-width=\"{:.1f}\"/>\n",
          from.x, from.y, (from.x + to.x) / 2 - bend * (to.y - from.y),
          (from.y + to.y) / 2 + bend * (to.x - from.x), to.x, to.y, colour_of(lane.distance),
          most > 0 ? 1 + 2 * lane.rate / most : 1.5);
    }
    body_ += "</g>\n";
  }

  std::string draw_head(double width) {
    const std::string& machine = planned_.topology.description;
    const auto most = static_cast<std::size_t>((width - 2 * kPageEdge) / kTitleLetter);
    std::string head = fmt::format(
        "<text x=\"{0}\" y=\"18\" font-size=\"13\">{1}</text>\n<text x=\"{0}\" y=\"34\">policy "
        "{2}, cost {3:.4g} ns {4}</text>\n",
        kPageEdge, with_whole(cut_to(machine, most, 0), machine), to_string(planned_.plan.policy),
        planned_.plan.cost, cost_unit(planned_));
    double x = kPageEdge;
    double y = kHead - kLegendRow;
    for (std::size_t stage = 0; stage < planned_.plan.stages.size(); ++stage) {
      const std::string text =
          fmt::format("{}:{}", planned_.plan.stages[stage].name, planned_.plan.stages[stage].workers.size());
      const double wide = 30 + kLetter * static_cast<double>(letters_of(text));
      if (x > kPageEdge && x + wide > width) {
        x = kPageEdge;
        y += kLegendRow;
      }
      head += fmt::format(
          "<rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"11\" height=\"11\" fill=\"{}\"/><text x=\"{:.0f}\" "
          "y=\"{:.0f}\">{}</text>\n",
          x, y - 1, kStageColours.at(stage % kStageColours.size()), x + 15, y + 9, escaped(text));
      x += wide;
    }
    head_height_ = y + kLegendRow;
    return head;
  }

  // The share of the events on ways of each colour, who floats, and what a person should know.
  std::string draw_foot(double width) {
    std::map<double, double> rate_of;
    double all = 0;
    for (const LanePlan& lane : planned_.plan.lanes) {
      rate_of[std::round(lane.distance)] += lane.rate;
      all += lane.rate;
    }
    double y = head_height_ + machine_.height + kFootLine + 4;
    std::string foot;
    double x = kPageEdge;
    constexpr std::size_t kMostWays = 8;
    std::size_t ways = 0;
    for (const auto& [distance, rate] : rate_of) {
      if (++ways > kMostWays) break;
      foot += fmt::format(
          "<rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"16\" height=\"4\" fill=\"{}\"/><text x=\"{:.0f}\" "
          "y=\"{:.0f}\">{:.0f} ns: {:.0f} %</text>\n",
          x, y - 5, colour_of(distance), x + 20, y, distance, all > 0 ? 100 * rate / all : 0);
      x += 110;
    }
    const auto line = [&](const std::string& text) {
      const auto most = static_cast<std::size_t>(width / 5.6);
      for (std::size_t at = 0; at < text.size();) {
        std::size_t end = std::min(text.size(), at + most);
        if (end < text.size() && text.rfind(' ', end) > at) end = std::min(text.rfind(' ', end), end);
        y += kFootLine;
        foot += fmt::format("<text x=\"{}\" y=\"{:.0f}\">{}</text>\n", kPageEdge, y,
                            escaped(text.substr(at, end - at)));
        at = end;
      }
    };
    for (const auto& [units, who] : floating_)
      line(fmt::format("on {} together: {}", units, who));
    for (const std::string& remark : planned_.plan.remarks)
      line("! " + remark);
    height_ = y + kPageEdge;
    return foot;
  }

  const Planned& planned_;
  Names names_;
  Box machine_;
  std::vector<const Box*> cores_;
  std::map<unsigned, std::vector<std::pair<std::size_t, std::string>>> on_unit_;
  std::map<std::string, std::string> floating_;
  std::map<unsigned, Point> centre_;
  std::string body_;
  double head_height_ = kHead;
  double height_ = 0;
};

}  // namespace

std::string to_svg(const Planned& planned) {
  return Drawing{planned}.svg();
}

}  // namespace sluice::pinning

// SPDX-License-Identifier: Apache-2.0
#include "ports/input_port.hpp"

#include <sluice/error.hpp>

namespace sluice::detail {

InputPort::InputPort(const Wiring& wiring, ProcessIndex process, NodeIndex node) : wiring_{wiring} {
  for (const LaneIndex id : wiring.layout().processes[process].lanes_in) {
    const LaneLayout& lane = wiring.layout().lanes[id];
    if (wiring.edge(lane).to != node) continue;
    InLane in{ipc::LaneConsumer{wiring.map_lane(id), wiring.gate_of(id)}, lane.consumer_word};
    const Sleeper producer = wiring.producer_of(lane);
    in.producer = producer.control;
    in.bell = producer.bell;
    in.from = lane.producer;
    in.shed = wiring.shed_word(lane.producer);
    in.ended = in.lane.readable() == 0 && in.lane.at_end();
    ended_ += in.ended ? 1 : 0;
    if (wiring.settings(node).latency_sample != 0) in.stamps = &wiring.stamps(id);
    in.event_bytes = wiring.edge(lane).type.record ? 0 : wiring.edge(lane).type.bytes;
    lanes_.push_back(in);
  }
  touched_.resize(lanes_.size());
}

void InputPort::refuse(const InLane& in, const std::string& reader) const {
  throw Error{{"read " + reader + " from", wiring_.name(in.from), "its cursors or lengths are out of range",
               "start the pipeline anew"}};
}

void InputPort::ring_all() const noexcept {
  for (const InLane& in : lanes_)
    in.bell->ring();
}

}  // namespace sluice::detail

// SPDX-License-Identifier: Apache-2.0
#include "guest_memory.hpp"

#include <chrono>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <unistd.h>

#include <sluice/ipc/segment.hpp>

#include "observer/attach_message.hpp"
#include "observer/description.hpp"
#include "observer/observer_socket.hpp"

namespace sluice::test {
namespace {

std::string bytes_of(int descriptor) {
  std::ifstream file{"/proc/self/fd/" + std::to_string(descriptor), std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// Maps each page into this process, since the kernel tells of no others; it allocates none, for all are
// there.
pinning::Whereabouts look_at(std::span<const std::byte> memory) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  for (std::size_t at = 0; at < memory.size(); at += page)
    static_cast<void>(*static_cast<const volatile std::byte*>(&memory[at]));
  return pinning::where_is(memory);
}

}  // namespace

std::vector<Piece> pieces_of(const std::string& socket) {
  const detail::Descriptor connection = detail::connect_to_observer_socket(socket, std::chrono::seconds{30});
  if (!connection) throw std::runtime_error{"cannot attach to " + socket};
  detail::AttachMessage message = detail::receive_attach_message(connection.get());
  if (!message.whole) throw std::runtime_error{"no answer from " + socket};
  const detail::Description description =
      detail::read_description(bytes_of(message.description.get()), socket);
  const detail::Layout& layout = description.layout;
  const ipc::Segment segment{description.pipeline, region_specs(layout),
                             ipc::ForeignMemory{message.segment.release(),
                                                description.first_byte,
                                                {message.huge[0].release(), message.huge[1].release()},
                                                description.huge}};
  std::vector<Piece> pieces;
  for (const detail::ProcessIndex process : layout.processes.indices()) {
    const std::string& name = layout.processes[process].name;
    pieces.push_back({"region of " + name, name, look_at(segment.plain(process.value()))});
  }
  for (const detail::LaneLayout& lane : layout.lanes) {
    const ipc::RingView ring = segment.ring(lane.producer.value(), lane.ring);
    const std::string& reader = layout.processes[lane.consumer].name;
    std::string name = "lane " + layout.processes[lane.producer].name;
    name.append(" to ").append(reader);
    pieces.push_back({std::move(name), reader, look_at({ring.data, ring.capacity_bytes})});
  }
  return pieces;
}

std::string to_text(const pinning::Whereabouts& found) {
  std::string text;
  for (const auto& [node, pages] : found.pages_on_node) {
    if (!text.empty()) text += ", ";
    text.append(std::to_string(pages)).append(" pages on node ").append(std::to_string(node));
  }
  if (found.absent_pages > 0)
    text.append(" and ").append(std::to_string(found.absent_pages)).append(" absent");
  return text;
}

}  // namespace sluice::test

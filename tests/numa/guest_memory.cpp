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

// Calls `act(name, reader, memory)` with each piece.
template <class Act>
void for_each_piece(const std::string& socket, Act&& act) {
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
  for (const detail::ProcessIndex process : layout.processes.indices()) {
    const std::string& name = layout.processes[process].name;
    act("region of " + name, name, std::span<const std::byte>{segment.plain(process.value())});
  }
  for (const detail::LaneLayout& lane : layout.lanes) {
    const ipc::RingView ring = segment.ring(lane.producer.value(), lane.ring);
    const std::string& reader = layout.processes[lane.consumer].name;
    std::string name = "lane " + layout.processes[lane.producer].name;
    name.append(" to ").append(reader);
    act(name, reader, std::span<const std::byte>{ring.data, ring.capacity_bytes});
  }
}

}  // namespace

std::vector<Piece> pieces_of(const std::string& socket) {
  std::vector<Piece> pieces;
  for_each_piece(socket,
                 [&](const std::string& name, const std::string& reader, std::span<const std::byte> memory) {
                   pieces.push_back({name, reader, look_at(memory)});
                 });
  return pieces;
}

int move_pieces(const std::string& socket, const std::string& reader, int node) {
  int refused = 0;
  for_each_piece(socket, [&](const std::string&, const std::string& its, std::span<const std::byte> memory) {
    if (its != reader) return;
    look_at(memory);  // Those that this process has mapped are moved.
    if (const int error = pinning::move_memory(memory, node); error != 0) refused = error;
  });
  return refused;
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

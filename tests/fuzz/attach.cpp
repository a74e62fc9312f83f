// SPDX-License-Identifier: Apache-2.0
// Fuzz target: attaching to what somebody else has left. A region whose bytes are arbitrary is taken over in
// the midst of a pipeline that goes on; a file whose header is arbitrary is opened as a named segment.
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <sluice/error.hpp>

#include "bytes.hpp"
#include "walls/scene.hpp"

namespace {

using namespace sluice;
using namespace sluice::detail;
using fuzz::require;

constexpr std::size_t kEdited = 32;  // Bytes of a region that one input changes at a place.

struct World {
  World() {
    scene.push(100);
    while (scene.turn()) {
    }
    scene.push(30);
    image = scene.image();
  }
  test::Scene scene;
  test::Image image;
};

// The parts that are looked at, by offset and size; the lines of the lanes twice, since most is decided
// there.
std::vector<std::span<std::byte>> parts_of(const test::Scene& scene, ProcessIndex process) {
  const ProcessLayout& at = scene.wiring().layout().processes[process];
  const std::size_t cursors = at.cursor_words * sizeof(std::uint64_t);
  return {scene.part(process, 0, sizeof(ipc::Control)),
          scene.part(process, at.cursors, cursors),
          scene.part(process, at.cursors + kFixedWords * 8, cursors - kFixedWords * 8),
          scene.part(process, at.commit, sizeof(ipc::CommitHeader)),
          scene.part(process, at.record, 128),
          scene.part(process, at.undo, sizeof(ipc::UndoHeader)),
          scene.part(process, at.entries, 256),
          scene.part(process, at.state, 512)};
}

void take_over(fuzz::Bytes& input) {
  static World world;
  test::Scene& scene = world.scene;
  scene.restore(world.image);
  const ProcessIndex dead = scene.process(input.below(2) == 0 ? "split/0" : "count/1");
  scene.reopen(dead);
  const std::vector<std::span<std::byte>> parts = parts_of(scene, dead);
  while (!input.empty()) {
    const std::span<std::byte> part = parts[input.below(parts.size())];
    const std::size_t offset = input.below(part.size());
    const std::size_t bytes = 1 + input.below(kEdited);
    input.fill(part.subspan(offset, std::min(bytes, part.size() - offset)));
  }
  try {
    scene.turn();
    static_cast<void>(to_text(scene.host().stats(), {}, 0));
    scene.take_over(dead);
    scene.push(10);
    scene.finish();
  } catch (const Error& error) {
    require(error.what()[0] != '\0', "an Error says something");
  } catch (const test::Scene::Stuck&) {
    // With bytes of its choice a peer can agree with itself and withhold everything; the watchdog's matter.
  }
}

// A whole file of a real segment, whose first bytes are then replaced.
void open_file(fuzz::Bytes& input) {
  static const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("sluice-fuzz-" + std::to_string(::getpid()));
  const std::vector<ipc::RegionSpec> specs{{4096, {4096}}, {4096, {}}};
  const ipc::NamedFile file{path, "pipeline: fuzz\nregions: 2\n"};
  static const std::vector<char> sound = [&] {
    std::filesystem::remove(path);
    ipc::Segment segment{"fuzz", specs, file};
    require(!segment.open(), "there was no such file");
    segment.prefault();
    std::ifstream stream{path, std::ios::binary};
    return std::vector<char>{std::istreambuf_iterator<char>{stream}, {}};
  }();
  std::vector<char> bytes = sound;
  if (input.below(8) == 0) bytes.resize(input.below(3 * 4096));
  while (!input.empty()) {
    const std::size_t offset = input.below(256);
    const std::size_t count = 1 + input.below(16);
    if (offset + count > bytes.size()) break;
    input.fill(std::as_writable_bytes(std::span{bytes}).subspan(offset, count));
  }
  std::ofstream{path, std::ios::binary | std::ios::trunc}.write(bytes.data(),
                                                                static_cast<std::streamsize>(bytes.size()));
  try {
    ipc::Segment segment{"fuzz", specs, file};
    static_cast<void>(segment.open());
  } catch (const Error& error) {
    require(error.what()[0] != '\0', "an Error says something");
  }
  std::filesystem::remove(path);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes input{data, size};
  if (input.below(4) == 0) {
    open_file(input);
  } else {
    take_over(input);
  }
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// AppendFile and the files of dead letters, which a later start goes on writing: they are known again by what survives a boot,
// and no other file is taken for them.
#include <cstdlib>
#include <cstring>
#include <set>

#include <sluice/append_file.hpp>
#include <sluice/dead_letter.hpp>

#include "mounted_anew.hpp"
#include "outside_world.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Writes what it gets, and dies of what it is told to die of.
struct Notes {
  Notes(Worker& worker, const std::string& path, std::set<std::uint32_t> deadly)
      : file{worker, "file", path}, deadly{std::move(deadly)} {}
  void operator()(const Item& item) {
    if (deadly.contains(item.number)) std::abort();
    file.append("note " + std::to_string(item.number) + "\n");
  }
  AppendFile file;
  std::set<std::uint32_t> deadly;
};

class KnownFiles : public WithOutside {
 protected:
  Settings kept(const fs::path& reports = {}) const {
    Settings kept = settings({"segment.path=" + file("segment"), "poison.attempts=1"});
    if (!reports.empty()) kept.set("report.path", reports.string());
    return kept;
  }
  static Pipeline notes(const fs::path& path, std::set<std::uint32_t> deadly = {}) {
    Pipeline pipeline{"notes"};
    pipeline.inlet<Item>("in").to<Notes>("notes", path.string(), std::move(deadly));
    return pipeline;
  }
  // A life that has the items `from` to `to`, and is parked.
  static void live(const Pipeline& pipeline, const Settings& settings, std::uint32_t from, std::uint32_t to) {
    Engine engine{pipeline, settings};
    engine.start();
    auto in = engine.inlet<Item>("in");
    for (std::uint32_t number = from; number < to; ++number)
      std::ignore = in.push(Item{0, number});
    if (!eventually([&] { return worker_of(engine, "notes/0").events_in == to; }))
      throw std::runtime_error{"it has not handled them"};
    engine.park();
  }
  // Whatever `work` says in a process whose mounts are its own.
  std::string said_by(const std::function<std::string()>& work) const {
    total_loss::Host host{{}, [&] {
                            std::string said;
                            try {
                              said = work();
                            } catch (const std::exception& error) {
                              said = error.what();
                            }
                            std::ofstream{file("said")} << said;
                          }};
    EXPECT_TRUE(host.wait_for_end(kDeadline));
    std::ifstream said{file("said")};
    return {std::istreambuf_iterator<char>{said}, {}};
  }
  static std::string text_of(const std::string& path) {
    std::ifstream in{path};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
};

constexpr const char* kNotAllowed = "not allowed";

TEST_F(KnownFiles, AppendedToGoOnWhenTheirFileSystemIsMountedAnew) {
  MountedAnew mounted{file("")};
  const fs::path path = mounted.path() / "notes";
  const std::string said = said_by([&]() -> std::string {
    if (!mounted.mount()) return kNotAllowed;
    live(notes(path), kept(), 0, 2);
    if (!mounted.mount_anew()) return kNotAllowed;
    live(notes(path), kept(), 2, 3);
    return text_of(path);
  });
  if (said == kNotAllowed) GTEST_SKIP() << "a file system of its own needs root";
  EXPECT_EQ(said, "note 0\nnote 1\nnote 2\n");
}

// The first life has died in the midst of a second letter, or has written it once more than it has counted.
TEST_F(KnownFiles, OfLettersGoOnAndHoldEachOnceWhenTheirFileSystemIsMountedAnew) {
  MountedAnew mounted{file("")};
  const fs::path reports = mounted.path() / "reports";
  const std::string said = said_by([&]() -> std::string {
    if (!mounted.mount()) return kNotAllowed;
    live(notes(file("notes"), {1, 3}), kept(reports), 0, 3);
    const std::string letters = find_dead_letters(reports).at(0).file;
    const std::string first = text_of(letters);
    if (!mounted.mount_anew()) return kNotAllowed;
    std::ofstream{letters, std::ios::app | std::ios::binary} << first;
    live(notes(file("notes"), {1, 3}), kept(reports), 3, 5);
    std::string said;
    for (const DeadLetter& letter : find_dead_letters(reports)) {
      Item item;
      std::memcpy(&item, letter.payload.data(), sizeof(item));
      said +=
          std::to_string(item.number) + (letter.file == letters ? " in the first file\n" : " elsewhere\n");
    }
    return said;
  });
  if (said == kNotAllowed) GTEST_SKIP() << "a file system of its own needs root";
  EXPECT_EQ(said, "1 in the first file\n3 in the first file\n");
}

// The inode is the same, and it is long enough.
TEST_F(KnownFiles, AppendedToAreNoneThatSomebodyHasWrittenAnew) {
  live(notes(file("notes")), kept(), 0, 2);
  fs::resize_file(file("notes"), 0);
  const std::string other = "somebody else's, and longer\n";
  std::ofstream{file("notes"), std::ios::app} << other;
  EXPECT_THAT(error_of([&] { live(notes(file("notes")), kept(), 2, 3); }),
              AllOf(HasSubstr(file("notes")), HasSubstr("does not begin with what was written")));
  EXPECT_EQ(text_of(file("notes")), other);
}

}  // namespace
}  // namespace sluice::test

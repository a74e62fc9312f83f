// SPDX-License-Identifier: Apache-2.0
// The audit: cursors, published events, state and file of a worker against the oracle.
#include <algorithm>
#include <cstring>
#include <fstream>

#include <sluice/dead_letter.hpp>

#include "state_checker.hpp"

namespace sluice::test {

using namespace detail;
namespace {

template <class T>
const T* piece(const Scene& scene, std::string_view name) {
  return reinterpret_cast<const T*>(StateArea::find(scene.view().state(), name, sizeof(T)));
}

// The table as it lies in memory: header, index, rows.
struct TablePiece {
  TableHeader header;
  std::array<std::uint64_t, table_slots(kRows)> index;
  alignas(64) std::array<Rows::Row, kRows> rows;
};
static_assert(offsetof(TablePiece, rows) == table_front_bytes(kRows));
static_assert(offsetof(TablePiece, index) == sizeof(TableHeader));
constexpr std::size_t kTableBytes = Rows::bytes_for(kRows);
static_assert(sizeof(TablePiece) >= kTableBytes);

const TablePiece* table_piece(const Scene& scene) {
  return reinterpret_cast<const TablePiece*>(StateArea::find(scene.view().state(), "rows", kTableBytes));
}

// The row that the index leads to; one that is not there when it does not.
std::uint64_t row_of(const TablePiece& table, std::uint64_t key) {
  const std::uint64_t mask = table.index.size() - 1;
  const auto hash = static_cast<std::uint32_t>(table_hash(key, HashSeed{}));
  for (std::uint64_t at = hash & mask; table.index[at] != 0; at = (at + 1) & mask) {
    const std::uint64_t row = static_cast<std::uint32_t>(table.index[at]) - 1;
    if (table.index[at] >> 32U == hash && row < kRows && table.rows[row].key == key) return row;
  }
  return kRows;
}

// Every row that has never been taken or is free again can be had once more.
bool all_free_rows_can_be_had(const TablePiece& table) {
  std::uint64_t free = kRows - table.header.fresh;
  for (std::uint32_t next = table.header.first_free; next != 0 && free <= kRows; ++free)
    next = next <= kRows ? table.rows[next - 1].link : kTaken;
  return free == kRows - table.header.size;
}

std::string audit_table(const TablePiece& table, const std::map<std::uint64_t, Row>& rows) {
  if (table.header.fresh > kRows) return "the rows that have been taken; ";
  std::map<std::uint64_t, Row> found;
  for (std::uint64_t number = 0; number < table.header.fresh; ++number) {
    const Rows::Row& row = table.rows[number];
    if (row.link != kTaken) continue;
    if (!found.emplace(row.key, row.value).second) return "a key stands twice; ";
    if (row_of(table, row.key) != number) return "a row cannot be found; ";
  }
  const auto entries =
      table.index.size() - static_cast<std::size_t>(std::count(table.index.begin(), table.index.end(), 0U));
  if (table.header.size != found.size() || entries != found.size()) return "the table's size; ";
  if (!all_free_rows_can_be_had(table)) return "the table's free rows; ";
  return found == rows ? "" : "the table's rows; ";
}

std::string audit_problems(const Problems& problems, const std::vector<std::string>& should) {
  if (problems.count != should.size()) return "the number of problems; ";
  for (std::size_t i = 0; i < std::min<std::size_t>(should.size(), kProblemsKept); ++i) {
    if (problems.text[i] != should[i]) return "a problem's text; ";
  }
  return {};
}

std::string audit_state(const Scene& scene, const Oracle& should) {
  const auto* totals = piece<Totals>(scene, "totals");
  const auto* odd = piece<Odd>(scene, "odd");
  const auto* pasts = piece<std::array<Past, kInputs>>(scene, "pasts");
  const TablePiece* table = table_piece(scene);
  const auto* problems = piece<Problems>(scene, kProblemsName);
  if (totals == nullptr || odd == nullptr || pasts == nullptr || table == nullptr || problems == nullptr) {
    return "a piece of state is not there; ";
  }
  std::string wrong;
  if (*totals != should.totals) wrong += "totals; ";
  if (*odd != should.odd) wrong += "odd; ";
  if (*pasts != should.pasts) wrong += "pasts; ";
  return wrong + audit_table(*table, should.rows) + audit_problems(*problems, should.problems);
}

// What the worker has said at its end: the rows in the slots that it has told.
std::vector<std::string> last_words(const Scene& scene, std::size_t output) {
  std::vector<std::string> words;
  const auto* told = piece<std::uint64_t>(scene, "told");
  const TablePiece* table = table_piece(scene);
  if (told == nullptr || table == nullptr || *told > table->header.fresh) return {"no told, no table"};
  for (std::uint64_t number = 0; number < *told; ++number) {
    const Rows::Row& row = table->rows[number];
    if (row.link != kTaken || output == kNotes || sink_of(row.key) != output) continue;
    words.push_back(bytes_of(Fact{kLastWord, row.key, row.key, row.value.count, row.value.mixed}));
  }
  return words;
}

std::string audit_outputs(const Scene& scene, const Oracle& should, bool finished) {
  std::string wrong;
  std::uint64_t made = 0;
  for (std::size_t output = 0; output < kOutputs; ++output) {
    std::array<std::vector<std::string>, kInputs + 1> found;
    bool ended = false;
    for (std::string& payload : scene.published(output, ended)) {
      std::uint64_t origin = ~std::uint64_t{0};
      if (payload.size() >= sizeof(origin)) std::memcpy(&origin, payload.data(), sizeof(origin));
      if (origin > kLastWord) return "an event from nowhere; ";
      found[origin].push_back(std::move(payload));
      ++made;
    }
    const std::string name = "output " + std::to_string(output);
    for (std::size_t origin = 0; origin < kInputs; ++origin) {
      if (found[origin] == should.outputs[output][origin]) continue;
      wrong += name + " has " + std::to_string(found[origin].size()) + " of " +
               std::to_string(should.outputs[output][origin].size()) + " events from input " +
               std::to_string(origin) + ", or others; ";
    }
    if (found[kLastWord] != last_words(scene, output)) wrong += name + ": the last words; ";
    if (ended != finished) wrong += name + ": the end of stream; ";
  }
  if (made != scene.view().cursors()[kEventsOut].load()) wrong += "the count of events out; ";
  return wrong;
}

std::string audit_file(const Scene& scene, const Oracle& should) {
  if (scene.script().file.empty()) return {};
  std::ifstream file{scene.script().file};
  std::array<std::vector<std::string>, kInputs> found;
  for (std::string line; std::getline(file, line);) {
    if (file.eof() || line.empty() || line.front() < '0' || line.front() > '1') return "a line of the file; ";
    found[static_cast<std::size_t>(line.front() - '0')].push_back(line + "\n");
  }
  return found == should.lines ? "" : "the file; ";
}

std::string audit_dead_letters(const Scene& scene, const Oracle& should) {
  if (scene.script().dead_letters.empty()) return {};
  std::array<std::vector<std::string>, kInputs> found;
  std::uint64_t count = 0;
  if (std::filesystem::exists(scene.file())) {
    for (const DeadLetter& letter : read_dead_letters(scene.file())) {
      std::uint64_t lane = kInputs;
      if (letter.payload.size() >= sizeof(lane)) std::memcpy(&lane, letter.payload.data(), sizeof(lane));
      if (lane >= kInputs) return "a dead letter from nowhere; ";
      found[lane].push_back(letter.payload);
      ++count;
    }
  }
  if (scene.view().cursors()[kDeadLetters].load() != count) return "the count of dead letters; ";
  return found == should.dead_letters ? "" : "the dead letters; ";
}

}  // namespace

std::string audit(const Scene& scene, Oracle& oracle) {
  std::uint64_t consumed = 0;
  for (std::size_t lane = 0; lane < kInputs; ++lane) {
    const std::uint64_t items = scene.consumed(lane);
    if (items > scene.script().items[lane]) return "head stands within an item; ";
    if (items < oracle.items[lane]) return "fewer items consumed than before; ";
    while (oracle.items[lane] < items)
      oracle.apply(scene.script(), lane);
    consumed += items;
  }
  const WorkerMemory view = scene.view();
  const bool finished = view.cursors()[kFinished].load() != 0;
  std::string wrong = scene.lane_problems();
  if (view.commit().applied.load() != view.commit().committed.load()) wrong += "applied; ";
  if (view.undo().tail.load() != view.undo().base.load()) wrong += "the undo log is not empty; ";
  if (view.cursors()[kEventsIn].load() != consumed) wrong += "the count of events in; ";
  if (finished && oracle.items != scene.script().items) wrong += "finished too early; ";
  wrong += audit_state(scene, oracle);
  wrong += audit_outputs(scene, oracle, finished);
  return wrong + audit_file(scene, oracle) + audit_dead_letters(scene, oracle);
}

Oracle last_oracle(const Script& script) {
  Oracle oracle;
  for (std::size_t lane = 0; lane < kInputs; ++lane) {
    while (oracle.items[lane] < script.items[lane])
      oracle.apply(script, lane);
  }
  return oracle;
}

}  // namespace sluice::test

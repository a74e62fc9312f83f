// SPDX-License-Identifier: Apache-2.0
// Recoverable state: plain values and keyed tables that survive their worker.
//
// They live in the worker's region. A change is undone if the batch that made it does not commit, because its
// process died or its handler threw; a replacement finds what was committed last. Used by the worker's one
// thread, within its handler. Nothing here blocks or allocates.
//
// edit() and operator[] note the old bytes and hand out a reference: it may be written until the event is
// done, not later, and stays where it is until then, whatever else is inserted or erased. What an event has noted it does
// not note again, as far as the undo log remembers that. All of them throw Error when the undo log is too small for one
// event or a table is full; the event is then rolled back and becomes a dead letter or the end, as the setting
// `oversize` says, nothing lost. A handler may catch that of a full table, and go on: nothing was changed. What it makes of that of
// the undo log does not matter: events before it may have filled the log, so that it is undone and handled once more, alone.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include <sluice/detail/elsewhere.hpp>
#include <sluice/detail/fields.hpp>
#include <sluice/detail/key_equality.hpp>
#include <sluice/detail/state_area.hpp>
#include <sluice/detail/table_index.hpp>
#include <sluice/key.hpp>

namespace sluice {

namespace detail {

// `count` elements of an array from `first` on, noted. Throws Error when it has not so many.
template <class Array>
auto edit_elements(StateArea& area, Array& array, std::size_t first, std::size_t count) {
  const std::span all{array};
  if (first > all.size() || count > all.size() - first) area.no_such_elements(all.size(), first, count);
  // As many as there are at run time.
  const std::span<typename decltype(all)::element_type> part{all.data() + first, count};
  if (count != 0) area.note(part.data(), part.size_bytes());
  return part;
}

// What a table can find its rows by.
template <class K>
inline constexpr bool kIsTableKey = Key<K>&& std::is_trivially_copyable_v<K> && !std::is_array_v<K>;

// Nothing is asked of the equality of what is no key.
template <class K>
constexpr bool equality_agrees() {
  if constexpr (kIsTableKey<K> && std::equality_comparable<K>) {
    return kHashAgrees<K>;
  } else {
    return true;
  }
}

}  // namespace detail

// One value. Got from Worker::state(); a copy is the same value.
template <class T>
class Recoverable {
  static_assert(std::is_trivially_copyable_v<T> && !detail::kSaysWhere<T> &&
                    alignof(T) <= detail::StateArea::kAlignment,
                "recoverable state is trivially copyable and no pointer or view: it outlives its process");

 public:
  Recoverable(detail::StateArea& area, std::string_view name, const T& initial, std::uint32_t version = 0)
      : area_{&area},
        value_{reinterpret_cast<T*>(area.claim(name, sizeof(T), std::as_bytes(std::span{&initial, 1}),
                                               {detail::kind_of<T>(version), std::nullopt}))} {}
  // At first T{}, which a stack need not hold.
  Recoverable(detail::StateArea& area, std::string_view name)
      : Recoverable{area, name, *std::make_unique<T>()} {}

  // The value as it stands, with what the event in the handler has changed.
  const T& operator*() const noexcept { return *value_; }
  const T* operator->() const noexcept { return value_; }

  // The value, to be changed: notes the whole of it, sizeof(T) and 16 bytes of the undo log.
  T& edit() {
    area_->note(value_, sizeof(T));
    return *value_;
  }
  // One member of the value: notes that member only.
  template <class M, class C = T>
  requires std::is_class_v<C> M& edit(M C::*member) {
    M& part = value_->*member;
    area_->note(&part, sizeof(M));
    return part;
  }
  // A std::span of `count` elements from `first` on, of a member that is an array or of a value that is a std::array:
  // notes these only. Throws Error when there are not so many; the event does not fit then.
  template <class M, class C = T>
  requires std::is_class_v<C>
  auto edit(M C::*member, std::size_t first, std::size_t count) {
    return detail::edit_elements(*area_, value_->*member, first, count);
  }
  auto edit(std::size_t first, std::size_t count) {
    return detail::edit_elements(*area_, *value_, first, count);
  }
  // The whole value, replaced.
  void set(const T& value) { edit() = value; }

 private:
  detail::StateArea* area_;
  T* value_;
};

// A hash table of fixed capacity, whose rows never move. Got from Worker::table(); a copy is the same table. A call
// that looks a key up takes constant time, whatever keys come from outside: the hash has a seed that is drawn for each
// pipeline. A key's own hash(seed) must make use of it for that; with a key's own hash(), which has none, keys that share
// it are looked at one by one, and who can choose keys from outside can make them so. Throws Error when it finds that a stray store has hit the table.
//
// A reference to a row, and what find() gives, holds until the row itself is erased. The place of an erased row can be
// that of the next one that is inserted.
template <class K, class V>
class Table {
  static_assert(
      detail::kIsTableKey<K>,
      "the key of a table is an integer, an enumeration, or a trivially copyable value without padding; text "
      "is a struct with an array of characters. One with padding, or with a floating-point member, has a "
      "hash of its own, a member `std::uint64_t hash(std::uint64_t seed) const`, the same for keys that are "
      "equal");
  static_assert(std::is_trivially_copyable_v<V>, "the values of a table are trivially copyable");
  static_assert(!detail::kSaysWhere<K> && !detail::kSaysWhere<V>,
                "the keys and values of a table are no pointers or views: they outlive their process");
  static_assert(!detail::kIsTableKey<K> || std::equality_comparable<K>,
                "the key of a table has an operator==");
  static_assert(
      detail::equality_agrees<K>(),
      "the key of a table is to be compared member by member, in its members too: "
      "`bool operator==(const Key&) const = default`. Or its operator== is its own: then it must have a hash "
      "that agrees with it, a member `std::uint64_t hash(std::uint64_t seed) const`, the same for "
      "keys that are equal");

 public:
  struct Row {             // What a key stands for, with the key.
    detail::RowLink link;  // Of the table.
    K key;
    V value;
  };
  static_assert(alignof(Row) <= detail::StateArea::kAlignment, "a row is aligned to at most 64 bytes");
  static_assert(sizeof(Row) <= detail::kMostRowBytes, "a row has at most 2 GiB");

  Table(detail::StateArea& area, std::string_view name, std::uint64_t rows, std::uint32_t version = 0)
      : area_{&area},
        seed_{area.hash_seed()},
        index_{area, name, rows, sizeof(Row),
               detail::kind_of<K>(version) + detail::hashed_by<K>() + " to " + detail::kind_of<V>(version)},
        row_{reinterpret_cast<Row*>(index_.rows_memory())} {}

  // The value of `key`; nullptr when there is none.
  const V* find(const K& key) const {
    const auto found = look_up(key, hash_of(key));
    return found.row != kNoRow ? &row_[found.row].value : nullptr;
  }
  bool contains(const K& key) const { return find(key) != nullptr; }

  // The value of `key`, to be changed; inserted as V{} if it is new. Notes the value, or what it takes to insert one.
  // Throws Error when the table has capacity() rows and this would be one more.
  V& operator[](const K& key) {
    const std::uint32_t hash = hash_of(key);
    const auto found = look_up(key, hash);
    if (found.row == kNoRow) return insert(key, hash, found.slot);
    V& value = row_[found.row].value;
    area_->note(&value, sizeof(V));
    return value;
  }
  // One member of that value: notes that member only.
  template <class M, class C = V>
  requires std::is_class_v<C> M& edit(const K& key, M C::*member) {
    M& part = value_of(key).*member;
    area_->note(&part, sizeof(M));
    return part;
  }
  // A std::span of `count` elements from `first` on, of a member that is an array or of a value that is a std::array:
  // notes these only. Throws Error when there are not so many; the event does not fit then.
  template <class M, class C = V>
  requires std::is_class_v<C>
  auto edit(const K& key, M C::*member, std::size_t first, std::size_t count) {
    return detail::edit_elements(*area_, value_of(key).*member, first, count);
  }
  auto edit(const K& key, std::size_t first, std::size_t count) {
    return detail::edit_elements(*area_, value_of(key), first, count);
  }

  // Takes the row of `key` away; no other row moves. False when there was no such key.
  bool erase(const K& key) {
    const auto found = look_up(key, hash_of(key));
    if (found.row == kNoRow) return false;
    RowLink& link = row_[found.row].link;
    area_->note(&link, sizeof(link));
    link = index_.give_back(found);
    return true;
  }

  // Rows that there are, and that there can be.
  std::uint64_t size() const noexcept { return index_.size(); }
  std::uint64_t capacity() const noexcept { return index_.rows(); }

  // For walks that go on after a commit: slots from 0 to slots() - 1, nullptr for an empty one. A row keeps its slot, so
  // that a walk that erases meets every other row once. One that is inserted in the midst of it is met or not.
  std::uint64_t slots() const noexcept { return index_.end(); }
  const Row* slot(std::uint64_t index) const noexcept {
    return index < index_.end() && row_[index].link == detail::kTaken ? &row_[index] : nullptr;
  }
  // Calls visit(key, value) for every row, in no order; it may change the table, as above.
  template <class F>
  void for_each(F&& visit) const {
    for (std::uint64_t i = 0; i < slots(); ++i) {
      if (const Row* row = slot(i)) visit(row->key, row->value);
    }
  }

  // What a table takes of the state of its worker: state.bytes.
  static constexpr std::uint64_t bytes_for(std::uint64_t rows) noexcept {
    return detail::table_bytes(rows, sizeof(Row));
  }

 private:
  using RowLink = detail::RowLink;
  static constexpr std::uint32_t kNoRow = detail::TableIndex::kNoRow;

  std::uint32_t hash_of(const K& key) const {
    return static_cast<std::uint32_t>(detail::table_hash(key, seed_));
  }
  detail::TableIndex::Found look_up(const K& key, std::uint32_t hash) const {
    return index_.find(hash, [&](std::uint32_t number) {
      const Row& row = row_[number];
      if (row.link != detail::kTaken) index_.corrupt();
      return row.key == key;
    });
  }
  // Not noted.
  V& value_of(const K& key) {
    const std::uint32_t hash = hash_of(key);
    const auto found = look_up(key, hash);
    return found.row == kNoRow ? insert(key, hash, found.slot) : row_[found.row].value;
  }
  V& insert(const K& key, std::uint32_t hash, std::uint64_t slot) {
    const std::uint32_t number = index_.next_row();
    Row& row = row_[number];
    // A row that was never taken is of no use to those who go back to before this.
    if (index_.takes_used_row()) {
      // Its link alone: a wider load would wait for the store of the erasure.
      area_->note(&row.link, sizeof(row.link));
      area_->note(&row.key, sizeof(row.key));
      area_->note(&row.value, sizeof(row.value));
    } else {
      area_->touch(&row, sizeof(row));
    }
    index_.take(slot, hash, number, row.link);
    row.key = key;
    row.value = V{};
    row.link = detail::kTaken;
    return row.value;
  }

  detail::StateArea* area_;
  detail::HashSeed seed_;
  detail::TableIndex index_;
  Row* row_;
};

}  // namespace sluice

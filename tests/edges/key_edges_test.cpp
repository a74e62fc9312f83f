// SPDX-License-Identifier: Apache-2.0
// Keys of tables that are equal have one row: which operator== goes with a hash of bytes, and which is refused.
#include <array>
#include <cctype>
#include <cstdint>
#include <set>

#include <gtest/gtest.h>

#include <sluice/sluice.hpp>

#include "state_region.hpp"

namespace sluice::test {

using namespace detail;

namespace {

struct KeyEdges : testing::Test {
  Region region_;
  Incarnation now_{region_};
};

// Equal whatever the case of its letters.
struct Name {
  char text[8];

  friend bool operator==(const Name& one, const Name& other) {
    for (std::size_t i = 0; i < sizeof(text); ++i) {
      if (std::tolower(one.text[i]) != std::tolower(other.text[i])) return false;
    }
    return true;
  }
  std::uint64_t hash() const {
    std::uint64_t hash = 0;
    for (const char c : text)
      hash = hash * 31 + static_cast<std::uint64_t>(std::tolower(c));
    return hash;
  }
};

TEST_F(KeyEdges, KeysThatAreEqualHaveOneRow) {
  Table<Name, int> table{now_.area, "names", 10};
  table[{"abc"}] = 1;
  table[{"ABC"}] = 2;
  table[{"abd"}] = 3;
  EXPECT_EQ(table.size(), 2U);
  EXPECT_EQ(*table.find({"aBc"}), 2);
  EXPECT_EQ(hash_key(Name{"abc"}), hash_key(Name{"ABC"})) << "and one worker";
}

struct PlainKey {
  std::uint32_t number;
  char text[4];
  bool operator==(const PlainKey&) const = default;
};
struct KeyWithABool {
  bool buy;
  std::uint8_t venue;
  bool operator==(const KeyWithABool&) const = default;
};
struct IgnoresAMember {
  std::uint32_t number;
  std::uint32_t note;
  constexpr bool operator==(const IgnoresAMember& other) const { return number == other.number; }
};
struct IgnoresCase {
  std::array<char, 8> text;
  constexpr bool operator==(const IgnoresCase& other) const {
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (lower(text[i]) != lower(other.text[i])) return false;
    }
    return true;
  }
  static constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
};
struct Unknown {
  std::uint32_t number;
  bool operator==(const Unknown& other) const { return number == other.number; }
};
class Closed {
 public:
  explicit constexpr Closed(int number) : number_{number} {}
  bool operator==(const Closed&) const = default;

 private:
  int number_;
};
struct Nested {
  PlainKey key;
  std::array<std::uint16_t, 3> more;
  KeyWithABool flag;
  bool operator==(const Nested&) const = default;
};
struct NestedIgnorer {
  IgnoresAMember inner;
  bool operator==(const NestedIgnorer&) const = default;
};
enum class Colour : std::uint8_t { red, green };
enum class Folded : std::uint8_t { a = 'a', A = 'A' };
constexpr bool operator==(Folded one, Folded other) {
  return (static_cast<int>(one) | 0x20) == (static_cast<int>(other) | 0x20);
}

// Equal for values that differ in several bytes at once, or in one bit. A hash by their bytes would give them two rows.
template <bool noexcept_>
struct EitherWay {
  std::uint32_t a;
  std::uint32_t b;
  constexpr bool operator==(EitherWay other) const noexcept(noexcept_) {
    return (a == other.a && b == other.b) || (a == other.b && b == other.a);
  }
};
template <bool noexcept_>
struct SevenBits {
  std::uint8_t x;
  constexpr bool operator==(SevenBits other) const noexcept(noexcept_) {
    return (x & 0x7f) == (other.x & 0x7f);
  }
};
struct SumOfTwo {
  std::uint32_t a;
  std::uint32_t b;
  constexpr bool operator==(SumOfTwo other) const { return a + 3 * b == other.a + 3 * other.b; }
};
struct LongButOne {  // Beyond what was tried once.
  std::array<char, 500> text;
  constexpr bool operator==(const LongButOne& other) const noexcept {
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (i != 301 && text[i] != other.text[i]) return false;
    }
    return true;
  }
};
struct LongKey {
  std::array<char, 500> text;
  bool operator==(const LongKey&) const noexcept = default;
};
struct WithAnArray {  // Its operator== is not noexcept, since that of a std::array is not.
  std::array<char, 8> text;
  bool operator==(const WithAnArray&) const = default;
};

static_assert(kHashAgrees<int> && kHashAgrees<Colour> && kHashAgrees<bool>);
static_assert(kHashAgrees<PlainKey> && kHashAgrees<Closed> && kHashAgrees<Nested>);
static_assert(kHashAgrees<KeyWithABool>);
static_assert(kHashAgrees<std::array<std::uint64_t, 100>>);
static_assert(kHashAgrees<Name>, "it has a hash");
static_assert(!kHashAgrees<IgnoresAMember> && !kHashAgrees<IgnoresCase> && !kHashAgrees<NestedIgnorer>);
static_assert(!kHashAgrees<Unknown>, "what it compares is not known at compile time");
static_assert(!kHashAgrees<EitherWay<false>> && !kHashAgrees<EitherWay<true>>);
static_assert(!kHashAgrees<SevenBits<false>> && !kHashAgrees<SevenBits<true>>);
static_assert(!kHashAgrees<SumOfTwo> && !kHashAgrees<Folded> && !kHashAgrees<LongButOne>);
static_assert(kHashAgrees<LongKey> && kHashAgrees<WithAnArray>);

// Of its own: for one seed of a thousand keys all are one.
struct SeededKey {
  std::uint64_t number;
  bool operator==(const SeededKey&) const = default;
  std::uint64_t hash(std::uint64_t seed) const { return seed == HashSeed::of(1).first ? 0 : number ^ seed; }
};

TEST_F(KeyEdges, KeysWithAHashOfTheirOwnAreGivenTheSeed) {
  const auto places = [](std::uint64_t drawn) {
    std::set<std::uint64_t> wanted;
    for (std::uint64_t key = 0; key < 1000; ++key)
      wanted.insert(table_hash(SeededKey{key}, HashSeed::of(drawn)));
    return wanted.size();
  };
  EXPECT_EQ(places(1), 1U);
  EXPECT_EQ(places(2), 1000U) << "who does not know the seed chooses in vain";
  EXPECT_EQ(hash_key(SeededKey{5}), mix(5 + 0x9e3779b97f4a7c15ULL))
      << "routes are the same in every pipeline";
}

}  // namespace
}  // namespace sluice::test

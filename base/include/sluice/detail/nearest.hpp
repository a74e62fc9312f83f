// SPDX-License-Identifier: Apache-2.0
// The name that somebody meant who wrote another one: of a setting, a variable, an option. Pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace sluice::detail {

// How many letters are to be inserted, deleted, replaced or swapped with their neighbour.
std::size_t distance(std::string_view from, std::string_view to);

// The distance up to which a name may have been meant by another.
std::size_t tolerance(std::string_view name);

// Whether `most` letters can be enough, going by the lengths: the distance itself takes the product of both, and whoever
// misspells may have written a megabyte.
bool may_be_within(std::size_t most, std::string_view from, std::string_view to);

// The candidate that `name` was most likely meant to be, or nothing if none is close. Case and the difference
// between '.', '-' and '_' do not count.
std::string nearest(std::string_view name, std::span<const std::string> candidates);

}  // namespace sluice::detail

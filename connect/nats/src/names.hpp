// SPDX-License-Identifier: Apache-2.0
// Names of streams and subjects: what stands for the worker in them, and which subjects a stream takes. Pure.
#pragma once

#include <string>
#include <string_view>

#include <sluice/worker.hpp>

namespace sluice::detail {

// `text` with {pipeline}, {stage} and {replica} replaced by those of the worker. Throws Error for another word in braces.
std::string named_for(std::string_view text, const Worker& worker);

// Whether a message can be sent to it: tokens between dots, none empty, no wildcard, no space.
bool is_subject(std::string_view subject) noexcept;

// Whether `pattern`, with its wildcards * and >, takes `subject`, which has none.
bool takes_subject(std::string_view pattern, std::string_view subject) noexcept;

}  // namespace sluice::detail

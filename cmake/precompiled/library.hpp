// SPDX-License-Identifier: Apache-2.0
// What the libraries, programs and suites precompile: the standard library and {fmt}, which most sources include.
// Sources include what they use all the same (tests/house/headers); nothing of this project stands here.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>

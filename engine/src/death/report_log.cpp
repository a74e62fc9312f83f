// SPDX-License-Identifier: Apache-2.0
#include "death/report_log.hpp"

#include <cerrno>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <sys/uio.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

std::string json_text(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += fmt::format("\\{}", c);
    } else if (static_cast<unsigned char>(c) < ' ') {
      json += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      json += c;
    }
  }
  json += '"';
  return json;
}

std::string json_lines(std::string_view name, std::string_view text) {
  std::string json;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (!json.empty()) json += ',';
    json += json_text(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return fmt::format("\"{}\":[{}]", name, json);
}

// Allocates only to make the directory.
bool ReportLog::append(std::string_view fields, std::string_view more) const noexcept {
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC;
  Descriptor file{::open(path_.c_str(), kFlags, 0600)};
  if (file.get() < 0 && errno == ENOENT) {
    try {
      std::error_code error;
      std::filesystem::create_directories(std::filesystem::path{path_}.parent_path(), error);
    } catch (const std::exception&) {
      return false;  // No memory for the path: the report is lost, and its writer goes on.
    }
    file = Descriptor{::open(path_.c_str(), kFlags, 0600)};
  }
  if (file.get() < 0) return false;
  const auto part = [](std::string_view text) { return iovec{const_cast<char*>(text.data()), text.size()}; };
  const bool both = !fields.empty() && !more.empty();
  const iovec parts[] = {part("{"), part(fields), part(both ? "," : ""), part(more), part("}\n")};
  const ssize_t written = ::writev(file.get(), parts, static_cast<int>(std::size(parts)));
  return written == static_cast<ssize_t>(3 + fields.size() + more.size() + (both ? 1 : 0));
}

}  // namespace sluice::detail

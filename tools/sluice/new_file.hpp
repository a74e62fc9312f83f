// SPDX-License-Identifier: Apache-2.0
// A file that is there once all is in it, or not at all: who is killed while writing it leaves nothing, where the file
// system makes files without a name, and elsewhere FILE.part. For this user alone; none that is there is written over.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <sluice/detail/descriptor.hpp>

namespace sluice::command {

class NewFile {
 public:
  // `what` is written: for errors, which all functions throw as Error.
  NewFile(std::filesystem::path file, std::string what);
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile();

  void write(std::string_view bytes);
  // The last call.
  void publish();

 private:
  bool give_name() const noexcept;
  [[noreturn]] void refuse_to_make(const std::filesystem::path& file) const;

  std::filesystem::path file_;
  std::filesystem::path part_;  // Empty: it has no name until it is published.
  std::string what_;
  detail::Descriptor open_;  // None once it is published.
};

}  // namespace sluice::command

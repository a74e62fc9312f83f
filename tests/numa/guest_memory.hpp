// SPDX-License-Identifier: Apache-2.0
// Where every page of a running pipeline's segment is, seen by one who attaches to it as an observer and asks
// the kernel, page by page.
#pragma once

#include <string>
#include <vector>

#include <sluice/pinning/bind.hpp>

namespace sluice::test {

struct Piece {
  std::string name;    // "region of parse/0", "lane parse/0 to count/1"
  std::string reader;  // The process that its memory should be near to.
  pinning::Whereabouts found;
};

// `socket` as Observer::running() names it.
std::vector<Piece> pieces_of(const std::string& socket);

// As an operator does by migratepages(8): what is near to `reader` goes to another node. 0, or an errno value.
int move_pieces(const std::string& socket, const std::string& reader, int node);

// "16 pages on node 1, 2 on node 0"
std::string to_text(const pinning::Whereabouts& found);

}  // namespace sluice::test

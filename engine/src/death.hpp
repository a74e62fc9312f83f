// How a worker's process ended. Its wait status is known to its parent alone, and a master that has taken
// over is not the parent of the workers it found: then the region that the process left behind must tell.
//
// Pure: a status and a region in, a death out.
#pragma once

#include <csignal>
#include <optional>
#include <string>

#include "layout.hpp"

namespace sluice {

struct Death {
  enum class Kind {
    finished,  // Everything it had to do is committed, and its neighbours know.
    hopeless,  // It gave up with an Error, as the next one would: the message says why.
    threw,     // Its handler threw: the message says what.
    exited,    // It ended by itself with a status that no worker ends with.
    killed,    // By a signal, its own or somebody's.
  };
  Kind kind = Kind::killed;
  bool status_known = false;
  int status = 0;  // The exit status or the signal; 0 when it is not known.
};

// `status` is what waitid() said, if this process could ask it. `pid` is the dead process, of which the
// region may know nothing: then it died before it had taken the region.
Death how_it_died(const std::optional<siginfo_t>& status, const RegionView& region, pid_t pid) noexcept;

// For people, to follow "it died: ".
std::string to_text(const Death& death, const ipc::Control& control);

}  // namespace sluice

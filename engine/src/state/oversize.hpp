// SPDX-License-Identifier: Apache-2.0
// Oversize: the Error of an event that does not fit as things are: a record larger than its lane, outputs of more than
// a lane, a table without a row left, an undo log without room. Thrown out of the handler's call of the engine.
//
// The worker makes it a death that its event is to blame for, or the end of the pipeline, as the setting `oversize` says. An undo
// log without room, which may be that of the events before in the same batch, counts although the handler catches it:
// StateArea::undo_full_for().
#pragma once

#include <sluice/error.hpp>

namespace sluice::detail {

class Oversize : public Error {
 public:
  using Error::Error;
};

}  // namespace sluice::detail

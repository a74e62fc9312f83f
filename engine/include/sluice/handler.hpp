// SPDX-License-Identifier: Apache-2.0
// Handlers and sources: what a stage runs. One object a worker, made in the worker's process; its calls are
// never concurrent.
//
// A handler is a class with
//
//     void operator()(const In& event, Output<Out>&... outputs);       // once per event
//     void finish(Output<Out>&...);  or  bool finish(Output<Out>&...);  // optional: its last word
//
// and a source is a class with
//
//     bool operator()(Output<Out>&... outputs);                        // true while there is more
//     SourceState operator()(Output<Out>&... outputs);                 // the same, with "nothing now"
//
// It is constructed from a Worker& (worker.hpp) and the arguments behind the stage's name, or from those
// alone. A finish that returns true is called again, each call an event of its own, so that a last word may
// be longer than a lane. What an object keeps in plain members is lost when its worker dies; what must not be
// lost stands in Worker::state and Worker::table.
//
// A function, or a lambda without captures, is a handler or a source too, one without state and last word.
#pragma once

namespace sluice {

// What a source answers.
enum class SourceState {
  more,         // Call again at once.
  nothing_now,  // Call again in a moment.
  end,          // Nothing will follow.
};

}  // namespace sluice

// SPDX-License-Identifier: Apache-2.0
// Handlers and sources: what a stage runs. One object a worker, made in the worker's process; its calls are
// never concurrent.
//
// A handler is a class with
//
//     void operator()(const In& event, Output<Out>&... outputs);       // once per event, or, of a fixed size,
//     void operator()(std::span<const In> events, Output<Out>&...);     // with all that are there, at least one
//     void finish(Output<Out>&...);  or  bool finish(Output<Out>&...);  // optional: its last word
//
// and a source is a class with
//
//     bool operator()(Output<Out>&... outputs);                        // true while there is more
//     SourceState operator()(Output<Out>&... outputs);                 // the same, with "nothing now"
//
// A span has at most `batch.events` events, all of one lane, in order and in place; it is valid until the handler returns.
// What is done for it takes effect as a whole, or is taken back as a whole; Worker::event_id() names its first event, and
// the others follow at sizeof(In). A span that kills its worker, that does not fit, or that is refused is handed out again
// in halves, until one event is left, which is what becomes a dead letter. watchdog.deadline is for a span, too.
//
// A source that is drained is not called again, and says its last word. Unless it was at its end by then, or is endless
// (Worker::declare_endless()), the run has been interrupted, and the stages behind it can know (Worker::interrupted()).
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

// SPDX-License-Identifier: Apache-2.0
// Sluice: pipelines of worker processes over shared memory that survive the death of any of them.
//
// The public face. Say what the pipeline is (pipeline.hpp), write handlers (handler.hpp says what one is,
// worker.hpp and state.hpp what it can have), run it in processes (engine.hpp), in one thread (inline.hpp) or
// as a program (main.hpp, of the library sluice::program). Another process looks at it through observer.hpp.
#pragma once

#include <sluice/append_file.hpp>
#include <sluice/bottleneck.hpp>
#include <sluice/engine.hpp>
#include <sluice/error.hpp>
#include <sluice/event_id.hpp>
#include <sluice/executed_worker.hpp>
#include <sluice/inline.hpp>
#include <sluice/observer.hpp>
#include <sluice/pipeline.hpp>
#include <sluice/settings.hpp>
#include <sluice/state.hpp>
#include <sluice/stats.hpp>
#include <sluice/text.hpp>
#include <sluice/unavailable.hpp>
#include <sluice/worker.hpp>

// Of another library, which stands on this one: a program that embeds an engine and no more does without it.
#if __has_include(<sluice/main.hpp>)
#include <sluice/main.hpp>
#endif

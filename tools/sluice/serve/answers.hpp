// SPDX-License-Identifier: Apache-2.0
// What `sluice serve` answers to a request: the page, its live feed, metrics, health. Nothing of it writes anywhere.
#pragma once

#include "serve/access.hpp"
#include "serve/http_server.hpp"
#include "serve/live_feed.hpp"
#include "serve/watched_pipelines.hpp"

namespace sluice::command {

HttpAnswer answer(WatchedPipelines& watched, LiveFeed& feed, const Access& access,
                  const HttpRequest& request);

}  // namespace sluice::command

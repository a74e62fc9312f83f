// SPDX-License-Identifier: Apache-2.0
// The rows of the table of settings that say where the processes of a pipeline run.
#pragma once

#include <array>

#include "settings/settings_table.hpp"

namespace sluice::detail {

inline constexpr std::array kPlaceSettings = {
    Setting{.key = "placement.policy",
            .type = SettingType::choice,
            .fallback = "auto",
            .throughput = "spread",
            .shared = "none",
            .choices = "auto|compact|spread|float|none",
            .example = "spread",
            .meaning = "Where workers are pinned. `auto` gives events the shortest way, as far as each "
                       "worker has a core; "
                       "`compact` puts stages on neighbouring cores in their order, `spread` on cores far "
                       "apart; `float` "
                       "leaves them to the kernel on all units but isolated ones and those of other "
                       "pipelines, `none` on "
                       "these, too.",
            .trade_off = "`auto` and `compact` make the way between stages short; `spread` gives each worker "
                         "more cache and "
                         "memory bandwidth; `float` and `none` suit processors that others use too."},
    Setting{.key = "placement.claims",
            .type = SettingType::flag,
            .fallback = "yes",
            .example = "no",
            .meaning = "Whether this pipeline keeps off the units that the workers of other pipelines are "
                       "bound to, while there are "
                       "others, and tells them of its own. What it shares is in its plan.",
            .trade_off = "Two pipelines on the same cores are each slower than half; without claims each "
                         "gets the places that it "
                         "would have alone."},
    Setting{.key = "placement.verify",
            .type = SettingType::duration,
            .fallback = "500ms",
            .least = "0s",
            .most = "1h",
            .example = "1s",
            .meaning = "How often the master asks the kernel where each worker may run, puts back one whose "
                       "mask somebody "
                       "has rewritten, and plans anew when units are gone or have come back. 0 is never.",
            .trade_off = "A look takes less than a microsecond a worker. Without one, a taskset, a cpuset "
                         "that changes or a "
                         "unit that goes offline costs the workers their places until the next start, and "
                         "nobody says so."},
    Setting{.key = "place",
            .type = SettingType::text,
            .scope = Scope::single_stage,
            .fallback = "",
            .example = "package:0.core:0-3",
            .meaning =
                "Where the workers of a stage run, whatever the policy says of the others: CPU numbers "
                "(`0-3,8`), things "
                "of the machine (`package:0`, `numa:1`, `l3:0-1`, `package:0.core:0-3.pu:0`), or a whole one "
                "for each "
                "worker (`cores`, `ll_caches`, `numa_domains`, `packages`). Empty leaves it to the policy.",
            .trade_off = "A place holds also where others run, and is shared then, which the plan says. "
                         "Where some of its units "
                         "are lost while the pipeline runs the workers go to the rest of it, and elsewhere "
                         "only if nothing is "
                         "left."},
    Setting{.key = "placement.reserve",
            .type = SettingType::text,
            .fallback = "",
            .cpu_list = true,
            .example = "0-1,8",
            .meaning = "CPUs that no process of the pipeline uses, by the kernel's numbers. Empty for none.",
            .trade_off = "What else runs on the machine has these for itself, and the pipeline has fewer."},
    Setting{.key = "placement.measured",
            .type = SettingType::text,
            .fallback = "",
            .example = "parse@1.7 book@0.4 read>parse@2e6 parse>book@2e6",
            .meaning = "What an earlier run has measured, as `sluice stats --measured` writes it: processors "
                       "that a stage kept busy, and events a second from one stage to the next. The plan "
                       "makes the way short where most events go, and stages that take `cores` share them "
                       "out by what they had to do. Empty: each stage hands on what reaches it.",
            .trade_off = "It holds for the input that was measured; a stage or flow that the pipeline does "
                         "not have any more is refused."},
    Setting{.key = "placement.isolated",
            .type = SettingType::flag,
            .fallback = "no",
            .example = "yes",
            .meaning = "Whether workers use CPUs that the administrator has isolated (isolcpus=), and these "
                       "first. Without it "
                       "only a place that names them, or a mask that has no others, does.",
            .trade_off = "Nothing else is scheduled on them; and whoever had them isolated may have meant "
                         "them for another "
                         "program."},
    Setting{.key = "placement.smt",
            .type = SettingType::choice,
            .fallback = "last",
            .choices = "last|never",
            .example = "never",
            .meaning = "What SMT siblings are used for. `last` gives them workers once all cores have one, "
                       "`never` runs one "
                       "worker for each core and no more.",
            .trade_off = "Two workers on one core each get little more than half of it; with `never` workers "
                         "share cores sooner, "
                         "and sleep while they wait."},
};

}  // namespace sluice::detail

// SPDX-License-Identifier: Apache-2.0
// The rows of the table of settings that say how a pipeline outlives its machine.
#pragma once

#include <array>

#include "settings/settings_table.hpp"

namespace sluice::detail {

inline constexpr std::array kCheckpointSettings = {
    Setting{
        .key = "checkpoint.path",
        .type = SettingType::text,
        .fallback = "",
        .example = "/var/lib/market/checkpoints",
        .meaning =
            "Directory for checkpoints: copies of the pipeline as it is at one instant. A start that finds "
            "no memory to go on with (segment.path), as after a power cut, goes on with the newest whole "
            "one. "
            "Parked, the pipeline is in its last one; they are removed when it has finished and its "
            "outlets are empty. Empty for no checkpoints.",
        .trade_off =
            "On a disk they outlive the machine's death. The pipeline goes back to the last one then: what "
            "it told the outside since is told again. Each pipeline wants a directory of its own."},
    Setting{.key = "checkpoint.every",
            .type = SettingType::duration,
            .fallback = "1s",
            .least = "1ms",
            .most = "24h",
            .example = "100ms",
            .meaning = "Time from one checkpoint to the next; what the last one took longer is left out.",
            .trade_off =
                "Often means little to do again, and more of a processor and a disk: what changed since "
                "the last one is written each time."},
    Setting{.key = "checkpoint.keep",
            .type = SettingType::count,
            .fallback = "2",
            .least = "1",
            .most = "1000",
            .example = "5",
            .meaning = "How many of the newest checkpoints are kept, with all that they need.",
            .trade_off =
                "An older one is at hand when the newest has been damaged; each takes room on the disk."},
    Setting{.key = "checkpoint.sync",
            .type = SettingType::flag,
            .fallback = "yes",
            .example = "no",
            .meaning = "Whether a checkpoint counts only once it is on the disk (fsync).",
            .trade_off =
                "With `no` they cost less, and a power cut may leave none that is whole; the death of all "
                "processes loses nothing either way."},
    Setting{.key = "checkpoint.idle",
            .type = SettingType::flag,
            .fallback = "yes",
            .example = "no",
            .meaning = "Whether one is written though nothing has been committed since the last.",
            .trade_off =
                "With `no` a pipeline without input writes none, and the first event after a rest has one at "
                "once; how old the last one is says nothing then."},
    Setting{.key = "outside.after",
            .type = SettingType::choice,
            .scope = Scope::every_stage,
            .fallback = "commit",
            .choices = "commit|checkpoint",
            .example = "checkpoint",
            .meaning =
                "What an event has to wait for before it leaves the pipeline: to be committed, or to be in a "
                "checkpoint. Set for all, it holds for stages that lead nowhere, for outlets, and for what "
                "sources acknowledge; a stage that acts outside and leads on has it set for itself.",
            .trade_off =
                "With `checkpoint` nothing outside is ever ahead of what can come back, whatever the "
                "handlers do; each event waits for the next checkpoint, and lanes must hold what comes "
                "meanwhile."},
};

}  // namespace sluice::detail

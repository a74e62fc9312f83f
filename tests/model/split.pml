/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline with an event that fills its lane in the midst: the events before it are committed, and what the
 * undo log holds of it is kept (publish_before_event() of the worker loop; base in undo.hpp). */
#define SPLIT
#include "pipeline.pml"

/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline with a park at any instant: the master asks all workers to stand still, kills them when they do, and the
 * next life goes on (layout/standstill.hpp). Workers and the master die in its midst as well. The lanes fill in the
 * midst of an event, so that a worker may have to stand still there. */
#define SPLIT
#define PARK
#ifndef WORKER_DEATHS
#define WORKER_DEATHS 1
#endif
#include "pipeline.pml"

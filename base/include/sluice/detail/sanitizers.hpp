// SPDX-License-Identifier: Apache-2.0
// Whether this file is compiled with a sanitizer: g++ says so by a macro, clang by a feature.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_ADDRESS_SANITIZER 1
#endif
#endif
#ifndef SLUICE_ADDRESS_SANITIZER
#define SLUICE_ADDRESS_SANITIZER 0
#endif

#if defined(__SANITIZE_THREAD__)
#define SLUICE_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SLUICE_THREAD_SANITIZER 1
#endif
#endif
#ifndef SLUICE_THREAD_SANITIZER
#define SLUICE_THREAD_SANITIZER 0
#endif

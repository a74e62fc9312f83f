// SPDX-License-Identifier: Apache-2.0
// Why a call on a file failed: by what is asked of it, or since the storage below it is not there for a while, as that of another
// machine, a disk that is full, or a program that serves a file system. Such a call may do when it is tried again.
//
// Called by any thread of any process; pure.
#pragma once

#include <cerrno>

namespace sluice::detail {

constexpr bool is_storage_away(int error) noexcept {
  switch (error) {
    case EINTR:  // A program that serves a file system, or a server that is far, was not waited for.
    case EIO:
    case ESTALE:
    case ETIMEDOUT:
    case ENOTCONN:
    case EREMOTEIO:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

// Of a call that needs room.
constexpr bool is_storage_away_or_full(int error) noexcept {
  return error == ENOSPC || error == EDQUOT || is_storage_away(error);
}

}  // namespace sluice::detail

// SPDX-License-Identifier: Apache-2.0
// Environment variables that somebody else has made: for every service of a namespace Kubernetes puts its address
// into the environment of every container, and a service may be called sluice. Source: the Kubernetes documentation,
// "Service", environment variables (the form is that of Docker's container links).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::detail {

// Whether a variable has the form of an injected one, name and value: SLUICE_PORT=tcp://10.3.104.46:80.
bool is_injected(std::string_view name, std::string_view value);

// The names of those in this process's environment that begin with SLUICE_ and are passed over for that.
std::vector<std::string> injected_variables();

}  // namespace sluice::detail

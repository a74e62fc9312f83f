// SPDX-License-Identifier: Apache-2.0
// A file that includes the public face and does nothing: nothing of it runs before main() (face_test.cpp).
#include <sluice/sluice.hpp>

// SPDX-License-Identifier: Apache-2.0
// Prices, quantities and their sums: Sluice's exact decimals, whose 1e-8 every price and quantity of the exchanges fits.
#pragma once

#include <sluice/connect/decimal.hpp>

namespace market {

using sluice::Decimal;
using sluice::DecimalFault;
using sluice::Int128;
using sluice::kDecimalDigits;
using sluice::kDecimalUnit;
using sluice::kPowersOfTen;
using sluice::parse_decimal;
using sluice::UInt128;

using QuantitySum = sluice::DecimalSum<kDecimalDigits>;
using NotionalSum = sluice::DecimalSum<2 * kDecimalDigits>;

}  // namespace market

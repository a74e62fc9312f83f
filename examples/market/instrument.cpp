// SPDX-License-Identifier: Apache-2.0
#include "market/instrument.hpp"

namespace market {
namespace {

std::string_view venue_fault(TextFault fault) {
  switch (fault) {
    case TextFault::none:
      return {};
    case TextFault::empty:
      return "the venue is empty";
    case TextFault::too_long:
      return "the venue is longer than 16 bytes";
    case TextFault::control_character:
      return "the venue has a control character";
  }
  return "the venue is no text";
}

std::string_view symbol_fault(TextFault fault) {
  switch (fault) {
    case TextFault::none:
      return {};
    case TextFault::empty:
      return "the symbol is empty";
    case TextFault::too_long:
      return "the symbol is longer than 32 bytes";
    case TextFault::control_character:
      return "the symbol has a control character";
  }
  return "the symbol is no text";
}

}  // namespace

std::string_view text(TextFault fault) {
  switch (fault) {
    case TextFault::none:
      return "is a text";
    case TextFault::empty:
      return "is empty";
    case TextFault::too_long:
      return "is too long";
    case TextFault::control_character:
      return "has a control character";
  }
  return "is no text";
}

MadeInstrument make_instrument(std::string_view venue, std::string_view symbol) {
  MadeInstrument made;
  made.fault = venue_fault(made.instrument.venue.assign(venue));
  if (made.fault.empty()) made.fault = symbol_fault(made.instrument.symbol.assign(symbol));
  return made;
}

}  // namespace market

// SPDX-License-Identifier: Apache-2.0
// simdjson's on-demand parser gives a number as it is written, which its DOM does not: 0.1 is exact only so. It looks at
// values that are asked for and no others, so that the rest is walked through here.
#include "sluice/connect/json.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>
#include <simdjson.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>

namespace sluice::detail {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr std::size_t kShownBytes = 40;  // Of a wrong value in a fault.
constexpr int kMostDigits = 18;

// A number of type Int from all of `text`.
template <class Int>
bool store_integer(std::string_view text, std::byte* into) {
  Int value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return false;
  std::memcpy(into, &value, sizeof(value));
  return true;
}

bool store_signed(std::string_view text, std::size_t bytes, std::byte* into) {
  switch (bytes) {
    case 1:
      return store_integer<std::int8_t>(text, into);
    case 2:
      return store_integer<std::int16_t>(text, into);
    case 4:
      return store_integer<std::int32_t>(text, into);
    default:
      return store_integer<std::int64_t>(text, into);
  }
}

bool store_unsigned(std::string_view text, std::size_t bytes, std::byte* into) {
  switch (bytes) {
    case 1:
      return store_integer<std::uint8_t>(text, into);
    case 2:
      return store_integer<std::uint16_t>(text, into);
    case 4:
      return store_integer<std::uint32_t>(text, into);
    default:
      return store_integer<std::uint64_t>(text, into);
  }
}

// [-]digits[.digits] as units of 10^-digits; what is wrong, nullptr if nothing is.
const char* store_scaled(std::string_view text, int digits, std::byte* into) {
  const std::size_t point = std::min(text.find('.'), text.size());
  std::string units{text.substr(0, point)};
  std::string_view fraction = text.substr(std::min(point + 1, text.size()));
  if (point < text.size() && fraction.empty()) return "is no number";
  const auto is_digit = [](char byte) { return byte >= '0' && byte <= '9'; };
  const std::string_view whole = std::string_view{units}.substr(units.starts_with('-') ? 1 : 0);
  if (whole.empty() || !std::all_of(whole.begin(), whole.end(), is_digit) ||
      !std::all_of(fraction.begin(), fraction.end(), is_digit)) {
    return "is no number without an exponent";
  }
  const auto wanted = static_cast<std::size_t>(digits);
  if (fraction.size() > wanted) {
    if (fraction.find_first_not_of('0', wanted) != std::string_view::npos)
      return "has too many digits behind the point";
    fraction = fraction.substr(0, wanted);
  }
  units.append(fraction);
  units.append(wanted - fraction.size(), '0');
  return store_integer<std::int64_t>(units, into) ? nullptr : "is too large";
}

std::string shown(std::string_view text) {
  const std::string_view cut = cut_text(text, kShownBytes);
  return printable(cut) + (cut.size() < text.size() ? "..." : "");
}

std::string_view trimmed(std::string_view token) {
  const std::size_t end = token.find_last_not_of(" \t\r\n");
  return end == std::string_view::npos ? std::string_view{} : token.substr(0, end + 1);
}

}  // namespace

class JsonReader::Parser {
 public:
  Parser(const std::vector<JsonField>& fields, std::string& fault)
      : fields_{fields}, fault_{fault}, found_(fields.size()) {}

  bool read(std::string_view json, std::byte* object) {
    // simdjson reads some bytes behind the end, which may be another process's or none at all.
    copy_.resize(std::max(copy_.size(), json.size() + simdjson::SIMDJSON_PADDING));
    if (!json.empty()) std::memcpy(copy_.data(), json.data(), json.size());
    std::fill(found_.begin(), found_.end(), false);
    try {
      read_document(simdjson::padded_string_view{copy_.data(), json.size(), copy_.size()}, object);
    } catch (const simdjson::simdjson_error& error) {
      return fail(fmt::format("it is no JSON: {}", simdjson::error_message(error.error())));
    } catch (const Wrong& wrong) {
      return fail(wrong.text);
    }
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      if (fields_[i].required && !found_[i]) return fail(fmt::format("{}: it is missing", fields_[i].name));
    }
    return true;
  }

 private:
  struct Wrong {
    std::string text;
  };

  bool fail(std::string text) {
    fault_ = std::move(text);
    return false;
  }

  void read_document(simdjson::padded_string_view json, std::byte* object) {
    ondemand::document document = parser_.iterate(json);
    if (ondemand::json_type(document.type()) != ondemand::json_type::object)
      throw Wrong{"it is no JSON object"};
    for (ondemand::field member : document.get_object()) {
      const std::string_view name = member.unescaped_key();
      const auto field = std::find_if(fields_.begin(), fields_.end(),
                                      [&](const JsonField& known) { return known.name == name; });
      if (field == fields_.end()) {
        walk(member.value());
      } else {
        const auto index = static_cast<std::size_t>(field - fields_.begin());
        found_[index] = store(*field, member.value(), object);
      }
    }
    const char* rest = nullptr;
    if (document.current_location().get(rest) == simdjson::SUCCESS)
      throw Wrong{"something stands behind the JSON object"};
  }

  // What no member takes must be sound, too.
  void walk(ondemand::value value) {
    switch (ondemand::json_type(value.type())) {
      case ondemand::json_type::array:
        for (ondemand::value element : value.get_array())
          walk(element);
        break;
      case ondemand::json_type::object:
        for (ondemand::field member : value.get_object()) {
          static_cast<void>(std::string_view{member.unescaped_key()});
          walk(member.value());
        }
        break;
      case ondemand::json_type::string:
        static_cast<void>(std::string_view{value.get_string()});
        break;
      case ondemand::json_type::number:
        static_cast<void>(ondemand::number{value.get_number()});
        break;
      case ondemand::json_type::boolean:
        static_cast<void>(bool{value.get_bool()});
        break;
      case ondemand::json_type::null:
        expect_null(value);
        break;
    }
  }

  static void expect_null(ondemand::value value) {
    if (!value.is_null()) throw Wrong{"it is no JSON: a word that is not null"};
  }

  // Whether there is a value: null is none.
  bool store(const JsonField& field, ondemand::value value, std::byte* object) {
    const ondemand::json_type type = value.type();
    if (type == ondemand::json_type::null) {
      expect_null(value);
      return false;
    }
    std::byte* into = object + field.member.offset;
    switch (field.member.kind) {
      case JsonKind::text:
        expect(field, type, ondemand::json_type::string, "text");
        store_text(field, value.get_string(), into);
        return true;
      case JsonKind::boolean: {
        expect(field, type, ondemand::json_type::boolean, "true or false");
        const bool flag = value.get_bool();
        std::memcpy(into, &flag, sizeof(flag));
        return true;
      }
      case JsonKind::scaled:
        // Money is often written as text, so that no reader rounds it.
        if (type == ondemand::json_type::string) {
          store_decimal(field, value.get_string(), into);
          return true;
        }
        break;
      case JsonKind::signed_integer:
      case JsonKind::unsigned_integer:
      case JsonKind::number:
        break;
    }
    expect(field, type, ondemand::json_type::number, "a number");
    store_number(field, value, into);
    return true;
  }

  void store_number(const JsonField& field, ondemand::value value, std::byte* into) {
    const std::string_view token = trimmed(value.raw_json_token());
    const ondemand::number checked = value.get_number();  // What is none in JSON, such as 01, throws.
    switch (field.member.kind) {
      case JsonKind::scaled:
        return store_decimal(field, token, into);
      case JsonKind::signed_integer:
        if (!store_signed(token, field.member.bytes, into)) refuse_integer(field, token);
        return;
      case JsonKind::unsigned_integer:
        if (!store_unsigned(token, field.member.bytes, into)) refuse_integer(field, token);
        return;
      default:
        break;
    }
    const double number = checked.as_double();
    if (field.member.bytes == sizeof(float)) {
      const auto narrow = static_cast<float>(number);
      std::memcpy(into, &narrow, sizeof(narrow));
    } else {
      std::memcpy(into, &number, sizeof(number));
    }
  }

  [[noreturn]] static void refuse_integer(const JsonField& field, std::string_view token) {
    throw Wrong{fmt::format("{}: no whole number of {} bits{}: {}", field.name, 8 * field.member.bytes,
                            field.member.kind == JsonKind::signed_integer ? "" : " and not negative",
                            shown(token))};
  }

  static void store_decimal(const JsonField& field, std::string_view text, std::byte* into) {
    if (const char* wrong = store_scaled(text, field.member.digits, into); wrong != nullptr) {
      throw Wrong{
          fmt::format("{}: it {} ({} are kept): {}", field.name, wrong, field.member.digits, shown(text))};
    }
  }

  static void store_text(const JsonField& field, std::string_view text, std::byte* into) {
    if (text.size() > field.member.bytes) {
      throw Wrong{fmt::format("{}: {} bytes, more than {}: {}", field.name, text.size(), field.member.bytes,
                              shown(text))};
    }
    if (text.find('\0') != std::string_view::npos)
      throw Wrong{fmt::format("{}: it holds a zero byte", field.name)};
    if (!text.empty()) std::memcpy(into, text.data(), text.size());
  }

  static void expect(const JsonField& field, ondemand::json_type type, ondemand::json_type wanted,
                     const char* what) {
    if (type != wanted) throw Wrong{fmt::format("{}: it is not {}", field.name, what)};
  }

  const std::vector<JsonField>& fields_;
  std::string& fault_;
  std::vector<bool> found_;
  std::vector<char> copy_;
  ondemand::parser parser_;
};

JsonReader::JsonReader(std::vector<JsonField> fields) : fields_{std::move(fields)} {
  for (const JsonField& field : fields_) {
    const bool twice = std::count_if(fields_.begin(), fields_.end(),
                                     [&](const JsonField& other) { return other.name == field.name; }) > 1;
    if (twice)
      throw Error{{"read JSON into", field.name, "it is declared twice", "declare each member once"}};
    if (field.member.digits < 0 || field.member.digits > kMostDigits)
      throw Error{
          {"read JSON into", field.name, "it has more than 18 digits, or fewer than none", "use 0 to 18"}};
  }
  parser_ = std::make_unique<Parser>(fields_, fault_);
}

JsonReader::~JsonReader() = default;

bool JsonReader::read(std::string_view json, std::byte* object) {
  return parser_->read(json, object);
}

}  // namespace sluice::detail

// SPDX-License-Identifier: Apache-2.0
// simdjson's on-demand parser gives a number as it is written, which its DOM does not: 0.1 is exact only so. It looks at
// values that are asked for and no others, so that the rest is walked through here.
#include "sluice/connect/json.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <simdjson.h>

namespace sluice::detail {
namespace {

namespace ondemand = simdjson::ondemand;

// The library has as many, and does not count them where values are walked through one by one.
constexpr unsigned kMostLevels = simdjson::DEFAULT_MAX_DEPTH;

std::string_view trimmed(std::string_view token) {
  // Not find_last_not_of(), which calls for each byte what looks through the set.
  const auto is_space = [](char byte) { return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n'; };
  std::size_t end = token.size();
  while (end != 0 && is_space(token[end - 1]))
    --end;
  return token.substr(0, end);
}

// Of any size: simdjson refuses what neither 64 bits nor a double hold, and JSON does not. Source: RFC 8259, section 6.
bool is_json_number(std::string_view token) {
  const std::string_view digits = token.substr(token.starts_with('-') ? 1 : 0);
  const bool leading_zero = digits.size() > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9';
  return is_number(token) && !leading_zero;
}

}  // namespace

class JsonReader::Parser {
 public:
  Parser(const std::vector<NamedField>& fields, std::string& fault)
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
    std::size_t next = 0;
    for (ondemand::field member : document.get_object()) {
      const std::size_t index = index_of(member.unescaped_key(), next);
      if (index == fields_.size()) {
        walk(member.value(), 2);
      } else {
        found_[index] = store(fields_[index], member.value(), object) || found_[index];
        next = index + 1;
      }
    }
    const char* rest = nullptr;
    if (document.current_location().get(rest) == simdjson::SUCCESS)
      throw Wrong{"something stands behind the JSON object"};
  }

  // How many there are for a name that is not declared. Objects of one writer have their members in one order, mostly that of the
  // declaration: `next` is tried first.
  std::size_t index_of(std::string_view name, std::size_t next) const noexcept {
    if (next < fields_.size() && fields_[next].name == name) return next;
    const auto field = std::find_if(fields_.begin(), fields_.end(),
                                    [name](const NamedField& known) { return known.name == name; });
    return static_cast<std::size_t>(field - fields_.begin());
  }

  // What no member takes must be sound, too. An array or object is of `level`, which is 1 for the whole.
  void walk(ondemand::value value, unsigned level) {
    const ondemand::json_type type = value.type();
    const bool has_more = type == ondemand::json_type::array || type == ondemand::json_type::object;
    if (has_more && level > kMostLevels) throw Wrong{fmt::format("it has more than {} levels", kMostLevels)};
    switch (type) {
      case ondemand::json_type::array:
        for (ondemand::value element : value.get_array())
          walk(element, level + 1);
        break;
      case ondemand::json_type::object:
        for (ondemand::field member : value.get_object()) {
          static_cast<void>(std::string_view{member.unescaped_key()});
          walk(member.value(), level + 1);
        }
        break;
      case ondemand::json_type::string:
        static_cast<void>(std::string_view{value.get_string()});
        break;
      case ondemand::json_type::number:
        static_cast<void>(number_in(value));
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
  static bool store(const NamedField& field, ondemand::value value, std::byte* object) {
    const ondemand::json_type type = value.type();
    const FieldPlace& place = field.place;
    if (type == ondemand::json_type::null) {
      expect_null(value);
      return false;
    }
    if (place.kind == FieldKind::boolean) {
      expect(field, type, ondemand::json_type::boolean, "true or false");
      store_flag(place, value.get_bool(), object);
      return true;
    }
    // Money is often written as text, so that no reader rounds it.
    if (place.kind == FieldKind::text ||
        (place.kind == FieldKind::scaled && type == ondemand::json_type::string)) {
      expect(field, type, ondemand::json_type::string, "text");
      store_or_refuse(field, value.get_string(), object);
      return true;
    }
    expect(field, type, ondemand::json_type::number, "a number");
    store_or_refuse(field, number_in(value), object);
    return true;
  }

  // As it is written.
  static std::string_view number_in(ondemand::value value) {
    const std::string_view token = trimmed(value.raw_json_token());
    if (!is_json_number(token)) throw Wrong{"it is no JSON: a number that is none"};
    return token;
  }

  static void store_or_refuse(const NamedField& field, std::string_view text, std::byte* object) {
    if (const std::string fault = store_text(field.place, text, object); !fault.empty())
      throw Wrong{fmt::format("{}: {}", field.name, fault)};
  }

  static void expect(const NamedField& field, ondemand::json_type type, ondemand::json_type wanted,
                     const char* what) {
    if (type != wanted) throw Wrong{fmt::format("{}: it is not {}", field.name, what)};
  }

  const std::vector<NamedField>& fields_;
  std::string& fault_;
  std::vector<bool> found_;
  std::vector<char> copy_;
  ondemand::parser parser_;
};

JsonReader::JsonReader(std::vector<NamedField> fields)
    : fields_{std::move(fields)}, parser_{std::make_unique<Parser>(fields_, fault_)} {}

JsonReader::~JsonReader() = default;

bool JsonReader::read(std::string_view json, std::byte* object) {
  return parser_->read(json, object);
}

}  // namespace sluice::detail

// SPDX-License-Identifier: Apache-2.0
#include "letter_line.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <limits>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/json_parts.hpp>
#include <sluice/error.hpp>

#include "json_object.hpp"

namespace sluice::command {
namespace {

using Kind = JsonValue::Kind;

// Source: RFC 4648, section 4.
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string base64_of(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t there = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t three = 0;
    for (std::size_t i = 0; i < 3; ++i)
      three = three << 8U | (i < there ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (unsigned i = 0; i < 4; ++i)
      text += i <= there ? kBase64[(three >> (18U - 6U * i)) & 63U] : '=';
  }
  return text;
}

std::string bytes_of_base64(std::string_view text) {
  std::array<int, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kBase64.size(); ++i)
    values[static_cast<unsigned char>(kBase64[i])] = static_cast<int>(i);
  if (text.size() % 4 != 0) throw JsonFault{"its payload is cut: base64 comes in fours of characters"};
  const std::size_t pads = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool pad = at >= text.size() - pads;
    const int value = pad ? 0 : values[static_cast<unsigned char>(text[at])];
    if (value < 0) throw JsonFault{fmt::format("character {} of its payload is none of base64", at + 1)};
    bits = bits << 6U | static_cast<std::uint32_t>(value);
    if (at % 4 != 3) continue;
    for (const unsigned shift : {16U, 8U, 0U})
      bytes += static_cast<char>((bits >> shift) & 255U);
    bits = 0;
  }
  bytes.erase(bytes.size() - std::min(pads, bytes.size()));
  return bytes;
}

// Whether people would read it, and it comes back as it is.
bool is_text(const std::string& payload) {
  const auto drives = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' && c != '\r';
  };
  if (payload.empty() || std::any_of(payload.begin(), payload.end(), drives)) return false;
  return JsonObject{"{\"payload\":" + json_text(payload) + "}"}.text("payload") == payload;
}

const JsonValue& member(const JsonObject& line, const char* name, Kind kind, const char* what) {
  const JsonValue* value = line.find(name);
  if (value == nullptr) throw JsonFault{fmt::format("it has no member \"{}\"", name)};
  if (value->kind != kind) throw JsonFault{fmt::format("its member \"{}\" is no {}", name, what)};
  return *value;
}

const std::string& text(const JsonObject& line, const char* name) {
  return member(line, name, Kind::text, "text").text;
}

bool flag(const JsonObject& line, const char* name) {
  return member(line, name, Kind::flag, "flag").text == "true";
}

template <class Number>
Number number_in(const std::string& text, const char* name) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size())
    throw JsonFault{fmt::format("its member \"{}\" is no such number", name)};
  return number;
}

template <class Number>
Number number(const JsonObject& line, const char* name) {
  return number_in<Number>(member(line, name, Kind::number, "number").text, name);
}

std::string payload_of(const JsonObject& line) {
  const std::string& encoding = text(line, "encoding");
  const std::string& payload = text(line, "payload");
  if (encoding != "utf-8" && encoding != "base64")
    throw JsonFault{"its member \"encoding\" is neither \"utf-8\" nor \"base64\""};
  std::string bytes = encoding == "base64" ? bytes_of_base64(payload) : payload;
  if (bytes.size() > kMostPayloadBytes) {
    throw JsonFault{
        fmt::format("its payload has {} bytes, and at most {} are taken", bytes.size(), kMostPayloadBytes)};
  }
  return bytes;
}

// As to_string() writes it.
EventId event_in(const std::string& text, const char* name) {
  std::array<std::uint64_t, 5> parts{};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    const auto read = std::from_chars(at, end, parts[i], i == 0 ? 16 : 10);
    if (read.ec != std::errc{} || (last ? read.ptr != end : read.ptr == end || *read.ptr != '.'))
      throw JsonFault{fmt::format("its member \"{}\" is no name of an event", name)};
    at = read.ptr + 1;
  }
  constexpr unsigned kLane = EventId::kLaneBits;
  constexpr unsigned kReplica = kLane + EventId::kReplicaBits;
  constexpr unsigned kStage = kReplica + EventId::kStageBits;
  const EventId event{parts[0] << kStage | parts[1] << kReplica | parts[2] << kLane | parts[3], parts[4]};
  if (to_string(event) != text)
    throw JsonFault{fmt::format("its member \"{}\" is no name of an event", name)};
  return event;
}

void check(const DeadLetter& letter) {
  if (letter.stage.empty()) throw JsonFault{"its member \"stage\" is empty"};
  if (letter.replica >= letter.replicas) {
    throw JsonFault{
        fmt::format("it is of worker {} of {}, and the first is 0", letter.replica, letter.replicas)};
  }
  const std::size_t bytes = letter.payload.size();
  if (letter.record ? bytes < letter.head_bytes : bytes != letter.head_bytes) {
    throw JsonFault{fmt::format("its payload has {} bytes, and \"head_bytes\" says {}{}", bytes,
                                letter.record ? "at least " : "", letter.head_bytes)};
  }
}

}  // namespace

std::string line_of(const DeadLetter& letter) {
  if (letter.payload.size() > kMostPayloadBytes) {
    throw Error{{"export the dead letter of", fmt::format("{}/{}", letter.stage, letter.replica),
                 fmt::format("its payload has {} bytes, and a line takes {}", letter.payload.size(),
                             kMostPayloadBytes),
                 "retry it from its own file"}};
  }
  const auto time = std::chrono::duration_cast<std::chrono::nanoseconds>(letter.time.time_since_epoch());
  const bool readable = is_text(letter.payload);
  detail::JsonParts json;
  json.member("schema", std::to_string(kLetterSchema));
  json.text_member("stage", letter.stage);
  json.member("replica", std::to_string(letter.replica));
  json.member("replicas", std::to_string(letter.replicas));
  json.text_member("from", letter.from);
  // More than many programs' numbers hold.
  json.text_member("position", std::to_string(letter.position));
  if (letter.event != EventId{}) json.text_member("event", to_string(letter.event));
  if (letter.first_event != EventId{}) json.text_member("first_event", to_string(letter.first_event));
  json.text_member("type", letter.type);
  json.member("record", letter.record ? "true" : "false");
  json.member("head_bytes", std::to_string(letter.head_bytes));
  json.member("attempts", std::to_string(letter.attempts));
  json.member("signal", std::to_string(letter.signal));
  json.text_member("cause", letter.cause);
  json.text_member("backtrace", letter.backtrace);
  json.text_member("time", detail::utc_text(letter.time));
  json.text_member("time_ns", std::to_string(time.count()));
  json.member("retried", letter.retried_by != 0 ? "true" : "false");
  json.text_member("encoding", readable ? "utf-8" : "base64");
  json.text_member("payload", readable ? letter.payload : base64_of(letter.payload));
  return json.object();
}

DeadLetter letter_of(std::string_view whole) {
  if (whole.size() > kMostLineBytes) {
    throw JsonFault{fmt::format(
        "it is longer than a letter whose payload has {} bytes, the most that is taken", kMostPayloadBytes)};
  }
  const JsonObject line{whole};
  const auto schema = number<std::int64_t>(line, "schema");
  if (schema != kLetterSchema)
    throw JsonFault{fmt::format("its schema is {}, and this program reads {}", schema, kLetterSchema)};
  DeadLetter letter;
  letter.stage = text(line, "stage");
  letter.replica = number<unsigned>(line, "replica");
  letter.replicas = number<unsigned>(line, "replicas");
  letter.from = text(line, "from");
  letter.position = number_in<std::uint64_t>(text(line, "position"), "position");
  if (line.find("event") != nullptr) letter.event = event_in(text(line, "event"), "event");
  if (line.find("first_event") != nullptr)
    letter.first_event = event_in(text(line, "first_event"), "first_event");
  letter.type = text(line, "type");
  letter.record = flag(line, "record");
  letter.head_bytes = number<std::uint64_t>(line, "head_bytes");
  letter.attempts = number<unsigned>(line, "attempts");
  letter.signal = number<int>(line, "signal");
  letter.cause = text(line, "cause");
  letter.backtrace = text(line, "backtrace");
  const auto time = number_in<std::int64_t>(text(line, "time_ns"), "time_ns");
  letter.time = std::chrono::system_clock::time_point{
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds{time})};
  letter.retried_by = flag(line, "retried") ? 1 : 0;
  letter.payload = payload_of(line);
  check(letter);
  return letter;
}

}  // namespace sluice::command

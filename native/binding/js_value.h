// A JavaScript value and the path that leads to it, read with typed errors.
//
// Values come from callers: a getter may throw, a proxy may lie, a number may be NaN. Every read
// either returns a C++ value of the asked kind or throws INVALID_ARGUMENT naming the path.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <napi.h>

#include "base/error.h"

namespace multihead::binding {

class JsValue {
 public:
  JsValue(Napi::Value value, std::string path) : value_(value), path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  Napi::Value value() const { return value_; }
  bool absent() const { return value_.IsUndefined(); }

  // A property of an object; absent if it has none of that name.
  JsValue get(const char* key) const;

  // Calls f(element) for each element of an array of at most `longest`.
  template <typename F>
  void each(uint32_t longest, F&& f) const {
    const uint32_t length = array_length(longest);
    for (uint32_t i = 0; i < length; ++i) {
      const Napi::HandleScope scope(value_.Env());
      f(at(i));
    }
  }
  uint32_t array_length(uint32_t longest) const;
  JsValue at(uint32_t index) const;

  std::string string() const;
  bool boolean() const;
  // An integer in [smallest, 2^53).
  int64_t integer(int64_t smallest) const;
  // A finite number that an f32 can hold.
  float number() const;

  // The C++ value for one of a closed set of strings.
  template <typename T>
  T one_of(const std::vector<std::pair<const char*, T>>& literals) const {
    std::string expected;
    const std::string got = value_.IsString() ? string() : "";
    for (const auto& [name, result] : literals) {
      if (value_.IsString() && got == name) return result;
      expected += (expected.empty() ? "\"" : ", \"") + std::string(name) + "\"";
    }
    fail(expected);
  }

  // Throws INVALID_ARGUMENT: "{path}: {this value}, expected {expected}".
  [[noreturn]] void fail(const std::string& expected) const;

 private:
  Napi::Value value_;
  std::string path_;
};

// Gives `object` a property of its own. Setting one instead would call a setter that a prototype
// has for the name, and so the caller's code, in the middle of ours.
void set_own(const Napi::Object& object, const std::string& name, const Napi::Value& value);

// How a message shows a value: "2.5", "\"gelu\"", "undefined", "an object", "a Float32Array".
std::string describe(const Napi::Value& value);

}  // namespace multihead::binding

#include "binding/js_value.h"

namespace multihead::binding {
namespace {

constexpr double kMaxSafeInteger = 9007199254740991.0;

const char* typed_array_name(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
      return "an Int8Array";
    case napi_uint8_array:
      return "a Uint8Array";
    case napi_uint8_clamped_array:
      return "a Uint8ClampedArray";
    case napi_int16_array:
      return "an Int16Array";
    case napi_uint16_array:
      return "a Uint16Array";
    case napi_int32_array:
      return "an Int32Array";
    case napi_uint32_array:
      return "a Uint32Array";
    case napi_float32_array:
      return "a Float32Array";
    case napi_float64_array:
      return "a Float64Array";
    case napi_bigint64_array:
      return "a BigInt64Array";
    case napi_biguint64_array:
      return "a BigUint64Array";
    default:
      return "a typed array";
  }
}

// Runs a read that may enter JavaScript; an exception from there becomes a typed error.
template <typename F>
auto read(const std::string& path, F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const Napi::Error& error) {
    throw Error(ErrorCode::kInvalidArgument, path, "reading it threw: " + error.Message(),
                "a readable value");
  }
}

}  // namespace

void set_own(const Napi::Object& object, const std::string& name, const Napi::Value& value) {
  object.DefineProperty(Napi::PropertyDescriptor::Value(name, value, napi_default_jsproperty));
}

std::string describe(const Napi::Value& value) {
  switch (value.Type()) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean:
      return value.As<Napi::Boolean>().Value() ? "true" : "false";
    case napi_number:
      return value.ToString().Utf8Value();
    case napi_string: {
      const std::string text = value.As<Napi::String>().Utf8Value();
      return "\"" + (text.size() <= 80 ? text : text.substr(0, 80) + "…") + "\"";
    }
    case napi_symbol:
      return "a symbol";
    case napi_function:
      return "a function";
    case napi_bigint:
      return "a bigint";
    default:
      break;
  }
  if (value.IsArray()) return "an array";
  if (value.IsTypedArray()) return typed_array_name(value.As<Napi::TypedArray>().TypedArrayType());
  return "an object";
}

void JsValue::fail(const std::string& expected) const {
  throw Error(ErrorCode::kInvalidArgument, path_, describe(value_), expected);
}

JsValue JsValue::get(const char* key) const {
  if (!value_.IsObject()) fail("an object");
  const std::string path = path_.empty() ? key : path_ + "." + key;
  return {read(path, [&] { return value_.As<Napi::Object>().Get(key); }), path};
}

uint32_t JsValue::array_length(uint32_t longest) const {
  if (!value_.IsArray()) fail("an array");
  const uint32_t length = value_.As<Napi::Array>().Length();
  if (length > longest) {
    throw Error(ErrorCode::kInvalidArgument, path_, "length " + std::to_string(length),
                "at most " + std::to_string(longest));
  }
  return length;
}

JsValue JsValue::at(uint32_t index) const {
  const std::string path = path_ + "[" + std::to_string(index) + "]";
  return {read(path, [&] { return value_.As<Napi::Object>().Get(index); }), path};
}

std::string JsValue::string() const {
  if (!value_.IsString()) fail("a string");
  return value_.As<Napi::String>().Utf8Value();
}

bool JsValue::boolean() const {
  if (!value_.IsBoolean()) fail("true or false");
  return value_.As<Napi::Boolean>().Value();
}

int64_t JsValue::integer(int64_t smallest) const {
  const double number = value_.IsNumber() ? value_.As<Napi::Number>().DoubleValue() : std::nan("");
  if (number != std::floor(number) || std::abs(number) > kMaxSafeInteger ||
      number < static_cast<double>(smallest)) {
    fail(smallest == 1 ? "a positive integer" : "an integer, at least " + std::to_string(smallest));
  }
  return static_cast<int64_t>(number);
}

float JsValue::number() const {
  const double number = value_.IsNumber() ? value_.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(std::abs(number) <= static_cast<double>(std::numeric_limits<float>::max()))) {
    fail("a finite number");
  }
  return static_cast<float>(number);
}

}  // namespace multihead::binding

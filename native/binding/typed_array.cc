#include "binding/typed_array.h"

namespace multihead::binding {
namespace {

template <typename T>
std::vector<T> copy(const JsValue& value, napi_typedarray_type expected_type,
                    const char* expected) {
  if (!value.value().IsTypedArray() ||
      value.value().As<Napi::TypedArray>().TypedArrayType() != expected_type) {
    value.fail(expected);
  }
  const Napi::Env env = value.value().Env();
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  size_t byte_offset = 0;
  void* data = nullptr;
  napi_value buffer = nullptr;
  const auto check = [&](napi_status status) {
    if (status == napi_ok) return;
    throw Error(ErrorCode::kInvalidArgument, value.path(), "an unreadable typed array", expected);
  };
  check(napi_get_typedarray_info(env, value.value(), &type, &length, &data, &buffer, &byte_offset));
  const auto refuse = [&](const char* what) {
    throw Error(ErrorCode::kInvalidArgument, value.path(),
                describe(value.value()) + " over a " + what + " buffer", expected);
  };
  bool is_array_buffer = false;
  check(napi_is_arraybuffer(env, buffer, &is_array_buffer));
  if (!is_array_buffer) refuse("shared");
  bool is_detached = false;
  check(napi_is_detached_arraybuffer(env, buffer, &is_detached));
  if (is_detached) refuse("detached");
  const auto* begin = static_cast<const T*>(data);
  return length == 0 ? std::vector<T>() : std::vector<T>(begin, begin + length);
}

}  // namespace

std::vector<int32_t> copy_int32(const JsValue& value) {
  return copy<int32_t>(value, napi_int32_array, "an Int32Array");
}

std::vector<float> copy_float32(const JsValue& value) {
  return copy<float>(value, napi_float32_array, "a Float32Array");
}

std::vector<double> copy_float64(const JsValue& value) {
  return copy<double>(value, napi_float64_array, "a Float64Array");
}

std::vector<uint8_t> copy_uint8(const JsValue& value) {
  return copy<uint8_t>(value, napi_uint8_array, "a Uint8Array");
}

}  // namespace multihead::binding

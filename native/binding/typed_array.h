// Copies of the caller's typed arrays, made on the JavaScript thread after every check of the
// buffer, and new arrays for results.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <napi.h>

#include "base/error.h"
#include "binding/js_value.h"

namespace multihead::binding {

// Throws INVALID_ARGUMENT for another kind of value, and for a detached or shared buffer.
// A resizable buffer is fine: no JavaScript runs between the look at its length and the copy.
std::vector<int32_t> copy_int32(const JsValue& value);
std::vector<float> copy_float32(const JsValue& value);
std::vector<double> copy_float64(const JsValue& value);
std::vector<uint8_t> copy_uint8(const JsValue& value);

// `constructor(elements)`. Throws OUT_OF_MEMORY, where N-API's own function ends the process.
template <typename Array>
Array new_array(const Napi::FunctionReference& constructor, int64_t elements, const char* where) {
  try {
    const auto length = Napi::Number::New(constructor.Env(), static_cast<double>(elements));
    return constructor.New({length}).template As<Array>();
  } catch (const Napi::Error& error) {
    throw Error(ErrorCode::kOutOfMemory, where,
                std::to_string(elements) + " output elements: " + error.Message(),
                "outputs that fit into memory");
  }
}

}  // namespace multihead::binding

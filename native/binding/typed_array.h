// Copies of the caller's typed arrays, made on the JavaScript thread after every check of the
// buffer.
#pragma once

#include <cstdint>
#include <vector>

#include "binding/js_value.h"

namespace multihead::binding {

// Throws INVALID_ARGUMENT for another kind of value, and for a detached or shared buffer.
// A resizable buffer is fine: no JavaScript runs between the look at its length and the copy.
std::vector<int32_t> copy_int32(const JsValue& value);
std::vector<float> copy_float32(const JsValue& value);
std::vector<uint8_t> copy_uint8(const JsValue& value);

}  // namespace multihead::binding

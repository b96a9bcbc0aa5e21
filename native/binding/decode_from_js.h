// What a decode takes from JavaScript: kinds of values here, ranges in the engine.
#pragma once

#include <napi.h>

#include "engine/decode.h"

namespace multihead::binding {

// Copies every array. Throws INVALID_ARGUMENT.
engine::DecodeInput decode_from_js(const Napi::Value& value);

}  // namespace multihead::binding

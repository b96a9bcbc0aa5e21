// Batches and weight lists from JavaScript: kinds of values here, ranges in the engine.
#pragma once

#include <napi.h>

#include "engine/batch.h"
#include "engine/weights.h"

namespace multihead::binding {

// Copies every array. Throws INVALID_ARGUMENT.
engine::Batch batch_from_js(const Napi::Value& value);
std::vector<int32_t> outputs_from_js(const Napi::Value& value);
engine::WeightList weights_from_js(const Napi::Value& value);

}  // namespace multihead::binding

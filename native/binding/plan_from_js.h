// lib/plan.ts to engine/plan.h: kinds of values and literals; shapes are the engine's to check.
#pragma once

#include <napi.h>

#include "engine/plan.h"

namespace multihead::binding {

// Throws INVALID_ARGUMENT naming the path, as `plan.blocks[3].heads: 2.5, expected a positive
// integer`.
engine::Plan plan_from_js(const Napi::Value& value);

}  // namespace multihead::binding

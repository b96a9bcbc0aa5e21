// Stored floats to f32: exact for f16 (IEEE 754 binary16) and bf16 (the upper half of an f32).
#pragma once

#include <cstdint>

#include "base/tensor.h"

namespace multihead::engine {

float f32_from_f16(uint16_t bits);
float f32_from_bf16(uint16_t bits);

// `source` need not be aligned.
void convert_to_f32(DType dtype, const void* source, int64_t count, float* destination);

}  // namespace multihead::engine

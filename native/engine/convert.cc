#include "engine/convert.h"

#include <cstring>

namespace multihead::engine {
namespace {

float f32_from_bits(uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

uint16_t load_half(const uint8_t* bytes, int64_t index) {
  uint16_t bits = 0;
  std::memcpy(&bits, bytes + 2 * index, sizeof(bits));
  return bits;
}

}  // namespace

float f32_from_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // infinity and NaN keep their payload
    return f32_from_bits(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  }
  if (magnitude >= 0x0400u) {  // normal: the exponent's bias goes from 15 to 127
    return f32_from_bits(sign | ((magnitude << 13) + ((127u - 15u) << 23)));
  }
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24f;
  return sign != 0 ? -subnormal : subnormal;
}

float f32_from_bf16(uint16_t bits) { return f32_from_bits(static_cast<uint32_t>(bits) << 16); }

void convert_to_f32(DType dtype, const void* source, int64_t count, float* destination) {
  const auto* bytes = static_cast<const uint8_t*>(source);
  switch (dtype) {
    case DType::kF32:
      if (count > 0) std::memcpy(destination, bytes, static_cast<size_t>(count) * sizeof(float));
      return;
    case DType::kF16:
      for (int64_t i = 0; i < count; ++i) destination[i] = f32_from_f16(load_half(bytes, i));
      return;
    case DType::kBF16:
      for (int64_t i = 0; i < count; ++i) destination[i] = f32_from_bf16(load_half(bytes, i));
      return;
  }
}

}  // namespace multihead::engine

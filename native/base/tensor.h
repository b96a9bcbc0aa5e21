// Non-owning views of matrices, and the element types they hold.
//
// Plain structs without std:: so that code compiled for one instruction set can include this header
// (a template instantiated there could be picked by the linker for code that runs everywhere).
#pragma once

#include <cstdint>

namespace multihead {

enum class DType : uint8_t { kF32, kF16, kBF16 };

constexpr int64_t element_size(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

// `rows` x `columns`, row-major; consecutive rows lie `stride` elements apart (stride >= columns),
// so a view can be a slice of columns. `data == nullptr` means absent, where an op says that it may
// be.
struct ConstMatrix {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;

  const float* f32_row(int64_t row) const { return static_cast<const float*>(data) + row * stride; }
};

struct Matrix {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;

  float* f32_row(int64_t row) const { return static_cast<float*>(data) + row * stride; }
  operator ConstMatrix() const { return {data, dtype, rows, columns, stride}; }
};

}  // namespace multihead

// What tests of properties share: every table that this processor runs, and bits compared.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/cpu/isa.h"

namespace multihead::test {

template <typename Body>
void for_each_table(Body body) {
  for (const cpu::Isa& isa : cpu::isas()) {
    if (isa.supported) body(isa);
  }
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline std::vector<float> rows_of(const std::vector<float>& all, int64_t first, int64_t last,
                                  int64_t n) {
  return {all.begin() + first * n, all.begin() + last * n};
}

}  // namespace multihead::test

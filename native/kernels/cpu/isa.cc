#include "kernels/cpu/isa.h"

namespace multihead::cpu {

// Each is the one symbol of a translation unit compiled from table.cc.
extern const ops::OpTable kOpTable_baseline;
extern const ops::OpTable kOpTable_avx2;
extern const ops::OpTable kOpTable_avx512;

// __builtin_cpu_supports also asks the operating system (XCR0) whether it saves the registers.
const std::vector<Isa>& isas() {
  static const std::vector<Isa>* list = new std::vector<Isa>{
#if defined(MULTIHEAD_HAS_avx512)
      {"avx512",
       __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("fma"),
       &kOpTable_avx512},
#endif
#if defined(MULTIHEAD_HAS_avx2)
      {"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), &kOpTable_avx2},
#endif
      {"baseline", true, &kOpTable_baseline},
  };
  return *list;
}

}  // namespace multihead::cpu

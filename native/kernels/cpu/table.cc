// The op table of one instruction set; compiled once for each (see kernels/CMakeLists.txt).
#include "kernels/cpu/attention.h"
#include "kernels/cpu/embed.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/norm.h"
#include "kernels/cpu/pool.h"
#include "kernels/cpu/rotary.h"
#include "kernels/cpu/rows.h"
#include "ops/ops.h"

#define MULTIHEAD_JOIN_(a, b) a##b
#define MULTIHEAD_JOIN(a, b) MULTIHEAD_JOIN_(a, b)
#define MULTIHEAD_TEXT_(a) #a
#define MULTIHEAD_TEXT(a) MULTIHEAD_TEXT_(a)

namespace multihead::cpu {

// `extern`, because a const at namespace scope would otherwise stay inside this file.
extern const ops::OpTable MULTIHEAD_JOIN(kOpTable_, MULTIHEAD_ISA);
const ops::OpTable MULTIHEAD_JOIN(kOpTable_, MULTIHEAD_ISA) = {
    MULTIHEAD_TEXT(MULTIHEAD_ISA),
    embed_op,
    norm_op,
    gather_op,
    scatter_op,
    rotary_op,
    packed_linear_bytes_op,
    pack_linear_op,
    linear_scratch_bytes_op,
    linear_op,
    attention_scratch_bytes_op,
    attention_op,
    pool_op,
};

}  // namespace multihead::cpu

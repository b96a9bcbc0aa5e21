// The oracle of the kernel tests: every op in the plainest loops, accumulated in double.
//
// Written from the formulas of ops.h alone; shares no code with the kernels and is not shipped.
#pragma once

#include "ops/ops.h"

namespace multihead {

const ops::OpTable& reference_table();

}  // namespace multihead

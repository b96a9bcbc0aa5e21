// The oracle of the kernel tests: every op in the plainest loops, every value in double.
//
// Written from the formulas of ops.h alone; shares no code with the kernels and is not shipped.
// The same loops in float are the yardstick of tolerance: a kernel may err twice as much as they
// do.
#pragma once

#include "ops/ops.h"

namespace multihead {

const ops::OpTable& reference_table();
const ops::OpTable& naive_f32_table();

}  // namespace multihead

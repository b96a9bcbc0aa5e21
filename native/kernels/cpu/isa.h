// The instruction sets compiled into this binary, best first, and whether this processor runs them.
#pragma once

#include <vector>

#include "ops/ops.h"

namespace multihead::cpu {

struct Isa {
  const char* name;
  bool supported;
  const ops::OpTable* table;
};

const std::vector<Isa>& isas();

}  // namespace multihead::cpu

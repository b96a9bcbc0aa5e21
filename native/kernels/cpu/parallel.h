// Spreads a lambda over an executor, so that kernels write a region as a loop body.
#pragma once

#include "ops/executor.h"

namespace multihead::cpu {
namespace {

// body(index, worker) for each index in [0, count).
template <typename Body>
inline void parallel_for(ops::Executor& executor, int64_t count, Body body) {
  executor.parallel(
      count,
      [](void* context, int64_t index, int worker) {
        (*static_cast<Body*>(context))(index, worker);
      },
      &body);
}

// body(first, last) for consecutive blocks of `block` of [0, count).
template <typename Body>
inline void parallel_blocks(ops::Executor& executor, int64_t count, int64_t block, Body body) {
  parallel_for(executor, (count + block - 1) / block, [&](int64_t index, int) {
    const int64_t first = index * block;
    body(first, first + block < count ? first + block : count);
  });
}

}  // namespace
}  // namespace multihead::cpu

// THE CONTRACT between the engine and every backend: each op once, with its formula, shapes and
// edges.
//
// A backend supplies one OpTable; the reference table (double accumulation, tests only), every CPU
// instruction set and, later, CUDA implement the same members. Ops trust their arguments: the
// engine has checked every shape and range before it calls.
//
// Glossary of shape letters, used everywhere in this repository:
//   B sequences in a batch   T packed tokens of all sequences   S longest sequence
//   H heads   D head dim   E = H * D model width   F feed-forward inner width   V vocabulary
//   M, N, K rows, columns and inner dimension of a matrix product
//
// Sequences are packed, never padded: sequence b owns rows offsets[b] .. offsets[b + 1] - 1 of
// every [T, ...] matrix. offsets[0] = 0, offsets never decrease, offsets[B] = T; a sequence may be
// empty.
//
// Batch invariance: the bits of an output row depend on the rows of its own sequence and on the
// table, never on other sequences, on its place in the batch, or on the number of workers. So each
// output element is summed over K (or over keys) in one order whatever M is.
#pragma once

#include <cstdint>

#include "base/tensor.h"
#include "ops/executor.h"

namespace multihead::ops {

// GELU exact: x * Phi(x), by erf. GELU tanh: 0.5x(1 + tanh(sqrt(2/pi)(x + 0.044715x^3)))
// (Hendrycks & Gimpel 2016, arXiv:1606.08415). SiLU: x * sigmoid(x).
enum class Activation : uint8_t { kIdentity, kRelu, kGelu, kGeluTanh, kSilu, kTanh };

// kLayer: gain * (x - mean) / sqrt(var + epsilon) + bias, var biased (Ba et al. 2016,
// arXiv:1607.06450). kRms: gain * x / sqrt(mean(x^2) + epsilon) (Zhang & Sennrich 2019,
// arXiv:1910.07467); bias absent. kL2: x / max(|x|_2, epsilon); gain and bias absent. Statistics
// are over one row, in f32 or better, in two passes (mean, then distances from it).
enum class NormKind : uint8_t { kNone, kLayer, kRms, kL2 };

struct Norm {
  NormKind kind = NormKind::kNone;
  const float* gain = nullptr;  // [columns], nullptr: all one
  const float* bias = nullptr;  // [columns], nullptr: all zero
  float epsilon = 0;
};

// out[t] = norm(scale * token_table[tokens[t]] + type_table[types[t]] +
// position_table[positions[t]]) Vaswani et al. 2017, section 3.4 and 3.5; segment types from Devlin
// et al. 2018.
struct EmbedArgs {
  const int32_t* tokens = nullptr;     // [T], in [0, V)
  const int32_t* types = nullptr;      // [T]; nullptr: type 0 everywhere
  const int32_t* positions = nullptr;  // [T], in [0, position_table.rows)
  ConstMatrix token_table;             // [V, E], any dtype
  ConstMatrix type_table;              // [types, E], any dtype; may be absent
  ConstMatrix position_table;          // [positions, E], any dtype; may be absent
  float scale = 1;
  Norm norm;
  Matrix out;  // [T, E]
};

// out[m] = norm(x[m] + residual[m]). With several groups a row is so many equal parts, each normed
// on its own by the same gain and bias of N / groups values: a norm for each head (Henry et al.
// 2020, arXiv:2010.04245).
struct NormArgs {
  ConstMatrix x;         // [M, N]
  ConstMatrix residual;  // [M, N]; may be absent
  int64_t groups = 1;    // divides N
  Norm norm;             // any kind; kNone copies
  Matrix out;            // [M, N]; may be x or residual itself
};

// out[r] = x[rows[r]]: for example the last token of each sequence.
struct GatherArgs {
  ConstMatrix x;                  // [M, N] f32
  const int32_t* rows = nullptr;  // [R], in [0, M)
  Matrix out;                     // [R, N]; must not overlap x
};

// out[rows[m]] = x[m]: new keys and values into a cache. Other rows of `out` keep their values.
struct ScatterArgs {
  ConstMatrix x;                  // [M, N] f32
  const int32_t* rows = nullptr;  // [M], distinct, in [0, out.rows)
  Matrix out;                     // [any, N]; must not overlap x
};

// Rotary positions (Su et al. 2021, arXiv:2104.09864), in place: in each head the first R columns
// are R / 2 pairs, and pair i of token t turns by the angle whose cosine and sine are angles[t, i]
// and angles[t, R / 2 + i]:
//   (a, b) -> (a cos - b sin, b cos + a sin)
// kHalves pairs column i with i + R / 2 (GPT-NeoX, Llama), kNeighbours 2i with 2i + 1 (the paper).
enum class RotaryPairs : uint8_t { kHalves, kNeighbours };

struct RotaryArgs {
  ConstMatrix angles;  // [T, R] f32; R even, at most head_dim
  int64_t heads = 0;
  int64_t head_dim = 0;
  RotaryPairs pairs = RotaryPairs::kHalves;
  Matrix x;  // [T, heads * head_dim]
};

// A weight matrix in the layout that this table's `linear` reads; made by `pack_linear`.
struct PackedWeight {
  const void* data = nullptr;
  int64_t n = 0;  // output features
  int64_t k = 0;  // input features
};

struct PackLinearArgs {
  ConstMatrix weight;      // [N, K] f32, row n holds the weights of output feature n
  void* packed = nullptr;  // packed_linear_bytes(N, K) bytes, 64-byte aligned
};

// y[m, n] = scale * sum_k x[m, k] * weight[n, k] + bias[n]
// out[m] = norm(activation(y[m]) + residual[m]), and with a gate (Shazeer 2020, arXiv:2002.05202)
// out[m] = norm(activation(sum_k x[m, k] * gate[n, k] + gate_bias[n]) * y[m] + residual[m])
struct LinearArgs {
  ConstMatrix x;                // [M, K]
  PackedWeight weight;          // [N, K]
  const float* bias = nullptr;  // [N]; nullptr: none
  float scale = 1;
  PackedWeight gate;                 // [N, K]; data nullptr: none
  const float* gate_bias = nullptr;  // [N]; nullptr: none
  Activation activation = Activation::kIdentity;
  ConstMatrix residual;     // [M, N]; may be absent
  Norm norm;                // over the N columns of a row; kNone: none
  void* scratch = nullptr;  // linear_scratch_bytes(...) bytes, 64-byte aligned
  Matrix out;               // [M, N]; must not overlap x; may be residual itself
};

// Scaled dot-product attention (Vaswani et al. 2017, section 3.2), streaming over the keys with an
// online softmax (Milakov & Gimelshein 2018, arXiv:1805.02867; Dao et al. 2022, arXiv:2205.14135):
//   out[i, h] = sum_j softmax_j(score[i, h, j]) * value[j, g],  g = h / (heads / key_heads)
//   score[i, h, j] = scale * <query[i, h], key[j, g]> + slopes[h] * (j - p)
//                    + relative_bias[h, L + clamp(j - p, -L, L)]
// for the keys j of the same sequence that query i may see. With Sq queries and Sk keys in a
// sequence, local query i stands at key position p = Sk - Sq + i (so the last query is aligned with
// the last key). It sees key j when j is in [0, Sk), and (kCausal) j <= p, and (window >= 0) |p -
// j| <= window. A query that sees no key yields zeros.
//
// Keys lie in blocks of kKeyBlock rows (the last one of a sequence may be shorter), and each block
// may lie anywhere: self-attention and cross-attention pass consecutive rows, a cache passes its
// pages. Key j of sequence b is row key_blocks[key_block_offsets[b] + j / kKeyBlock] + j %
// kKeyBlock of `key` and of `value`. Where the blocks lie changes no bit.
enum class Mask : uint8_t { kFull, kCausal };
constexpr int64_t kKeyBlock = 64;
constexpr int64_t kMaxHeadDim = 256;

struct AttentionArgs {
  ConstMatrix query;                       // [Tq, heads * head_dim]
  ConstMatrix key;                         // [any, key_heads * head_dim]
  ConstMatrix value;                       // [any, key_heads * head_dim]
  const int32_t* query_offsets = nullptr;  // [B + 1]
  const int32_t* key_counts = nullptr;     // [B], Sk of each sequence
  const int32_t* key_block_offsets =
      nullptr;                          // [B + 1], starts at 0, steps of ceil(Sk / kKeyBlock)
  const int32_t* key_blocks = nullptr;  // [key_block_offsets[B]], first row of each block
  int64_t sequences = 0;                // B
  int64_t heads = 0;
  int64_t key_heads = 0;  // divides heads
  int64_t head_dim = 0;   // 1 .. kMaxHeadDim
  float scale = 1;
  Mask mask = Mask::kFull;
  int64_t window = -1;  // -1: no limit
  const float* slopes =
      nullptr;                // [heads] (ALiBi: Press et al. 2021, arXiv:2108.12409); may be absent
  ConstMatrix relative_bias;  // [heads, 2L + 1] f32 (Raffel et al. 2019, 2.1); may be absent
  void* scratch = nullptr;    // attention_scratch_bytes(...) bytes, 64-byte aligned
  Matrix out;                 // [Tq, heads * head_dim]; must not overlap query, key or value
};

// kWeightedSum: out[b] = sum_t weights[t] * x[t] over the tokens t of sequence b (weights carry the
// pooling: one-hot for cls and last, 1 / length for mean). kMax: elementwise maximum.
// An empty sequence yields zeros.
enum class PoolKind : uint8_t { kWeightedSum, kMax };

struct PoolArgs {
  ConstMatrix x;                     // [T, E]
  const int32_t* offsets = nullptr;  // [B + 1]
  int64_t sequences = 0;             // B
  PoolKind kind = PoolKind::kWeightedSum;
  const float* weights = nullptr;  // [T] for kWeightedSum
  Matrix out;                      // [B, E]
};

// One backend's implementation of every op. References, not pointers: a table with a missing entry
// does not compile.
struct OpTable {
  const char* name;  // "reference", "baseline", "avx2", "avx512"

  void (&embed)(Executor&, const EmbedArgs&);
  void (&norm)(Executor&, const NormArgs&);
  void (&gather)(Executor&, const GatherArgs&);
  void (&scatter)(Executor&, const ScatterArgs&);
  void (&rotary)(Executor&, const RotaryArgs&);

  int64_t (&packed_linear_bytes)(int64_t n, int64_t k);
  void (&pack_linear)(Executor&, const PackLinearArgs&);
  int64_t (&linear_scratch_bytes)(int64_t m, int64_t n, int64_t k, int workers);
  void (&linear)(Executor&, const LinearArgs&);

  int64_t (&attention_scratch_bytes)(int64_t head_dim, int workers);
  void (&attention)(Executor&, const AttentionArgs&);

  void (&pool)(Executor&, const PoolArgs&);
};

}  // namespace multihead::ops

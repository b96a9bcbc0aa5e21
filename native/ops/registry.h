// Picks the device that a model runs on; its source file is the only one that names backends.
#pragma once

#include <string>
#include <vector>

#include "ops/device.h"

namespace multihead::ops {

struct IsaStatus {
  const char* name;  // "avx512", "avx2", "baseline"; best first
  bool supported;    // by this processor and operating system
};

// Every instruction set compiled into this binary, best first.
std::vector<IsaStatus> isa_statuses();

// The process-wide CPU device for an instruction set. An empty name means the environment variable
// MULTIHEAD_ISA if set, else the best supported one.
// Throws UNSUPPORTED (unknown name, or not supported by this processor) naming what is.
Device& cpu_device(const std::string& isa);

// Threads that a model uses unless told otherwise: the processors in this process's affinity mask,
// limited by the cgroup CPU quota (rounded up), at least 1.
struct ThreadLimits {
  int affinity;        // processors in the affinity mask
  double cgroup_cpus;  // quota / period; 0: no limit
  int default_threads;
};
ThreadLimits thread_limits();
constexpr int kMaxThreads = 256;

}  // namespace multihead::ops

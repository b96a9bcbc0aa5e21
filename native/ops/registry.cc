#include "ops/registry.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <mutex>

#include "base/error.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/thread_limits.h"

namespace multihead::ops {
namespace {

const cpu::Isa& choose_isa(const std::string& name, const std::string& where) {
  std::string supported;
  for (const cpu::Isa& isa : cpu::isas()) {
    if (!isa.supported) continue;
    if (name.empty() || name == isa.name) return isa;
    supported += (supported.empty() ? "" : ", ") + std::string(isa.name);
  }
  throw Error(ErrorCode::kUnsupported, where, "\"" + name + "\"",
              "an instruction set of this processor: " + supported);
}

}  // namespace

std::vector<IsaStatus> isa_statuses() {
  std::vector<IsaStatus> statuses;
  for (const cpu::Isa& isa : cpu::isas()) statuses.push_back({isa.name, isa.supported});
  return statuses;
}

Device& cpu_device(const std::string& isa) {
  const char* forced = std::getenv("MULTIHEAD_ISA");
  const cpu::Isa& chosen = isa.empty() && forced != nullptr ? choose_isa(forced, "MULTIHEAD_ISA")
                                                            : choose_isa(isa, "isa");
  // Never destroyed: jobs may outlive static destruction.
  static std::mutex* mutex = new std::mutex;
  static auto* devices = new std::map<const OpTable*, cpu::CpuDevice*>;
  std::lock_guard<std::mutex> lock(*mutex);
  cpu::CpuDevice*& device = (*devices)[chosen.table];
  if (device == nullptr) device = new cpu::CpuDevice(*chosen.table);
  return *device;
}

ThreadLimits thread_limits() {
  ThreadLimits limits;
  limits.affinity = cpu::affinity_processors();
  limits.cgroup_cpus = cpu::cgroup_processors();
  limits.default_threads = limits.affinity;
  if (limits.cgroup_cpus > 0) {
    const int quota = static_cast<int>(std::ceil(limits.cgroup_cpus));
    limits.default_threads = std::min(limits.default_threads, quota);
  }
  limits.default_threads = std::clamp(limits.default_threads, 1, kMaxThreads);
  return limits;
}

}  // namespace multihead::ops

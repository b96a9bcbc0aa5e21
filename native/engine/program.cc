#include "engine/program.h"

#include <new>
#include <utility>

#include "engine/checked.h"
#include "engine/forward.h"

namespace multihead::engine {

Program::Program(ops::Device& device, Code code) : device_(device), code_(std::move(code)) {}
Program::~Program() = default;

void Program::check(const Batch& batch, const std::vector<int32_t>& outputs) const {
  check_outputs(outputs, static_cast<int64_t>(code_.blocks.size()));
  const auto need = [&](int64_t block) {
    return block >= 0 && outputs.back() >= block ? Need::kRequired : Need::kOptional;
  };
  check_batch(batch, code_.limits, {need(code_.pool_block), need(code_.memory_block)});
}

int64_t Program::output_elements(const Batch& batch, int32_t block) const {
  const Slice& stream = code_.blocks[static_cast<size_t>(block)].stream;
  int64_t rows = batch.token_count();
  if (stream.rows == Rows::kSequences) rows = batch.sequences();
  if (stream.rows == Rows::kSelected && batch.selected) {
    rows = static_cast<int64_t>(batch.selected->size());
  }
  const auto elements = checked_product(rows, stream.columns);
  if (!elements) throw out_of_memory(batch);
  return *elements;
}

void Program::run(const Batch& batch, const std::vector<Output>& outputs, ops::Executor& executor,
                  const std::atomic<bool>& cancelled) const {
  const Lease workspace = lease_workspace();
  number_rows(code_, batch, workspace->rows);
  Forward forward(code_, device_, batch, nullptr, outputs.back().block, executor, *workspace);
  size_t next = 0;
  for (int32_t i = 0; next < outputs.size(); ++i) {
    const BlockCode& block = code_.blocks[static_cast<size_t>(i)];
    forward.run(block, cancelled);
    if (outputs[next].block == i) forward.download(block.stream, outputs[next++].destination);
  }
}

Program::Lease Program::lease_workspace() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (idle_.empty()) return {new Workspace, ReturnWorkspace{this}};
  Workspace* workspace = idle_.back().release();
  idle_.pop_back();
  return {workspace, ReturnWorkspace{this}};
}

void Program::ReturnWorkspace::operator()(Workspace* workspace) const noexcept {
  std::unique_ptr<Workspace> owned(workspace);
  const std::lock_guard<std::mutex> lock(program->mutex_);
  try {
    program->idle_.push_back(std::move(owned));
  } catch (const std::bad_alloc&) {  // the workspace is freed instead of kept
  }
}

}  // namespace multihead::engine

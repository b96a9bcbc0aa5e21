// C++ failures to JavaScript errors and back; the only place that does either.
#pragma once

#include <napi.h>

#include "base/error.h"

namespace multihead::binding {

// The exception being handled, as the core's error type. Call it inside a catch block.
Error current_error();

// An Error with properties code, where, got and (if there is one) expected; lib/native.ts makes a
// MultiheadError of it.
Napi::Value error_to_js(Napi::Env env, const Error& error);

// Calls f() and throws its failure as a JavaScript exception.
template <typename F>
auto guarded(Napi::Env env, F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw Napi::Error(env, error_to_js(env, current_error()));
  }
}

}  // namespace multihead::binding

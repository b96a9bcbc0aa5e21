#include "binding/js_error.h"

#include <new>
#include <stdexcept>

namespace multihead::binding {

Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kOutOfMemory, "native memory", "an allocation failed");
  } catch (const std::length_error&) {
    return Error(ErrorCode::kOutOfMemory, "native memory", "an impossible size was asked for");
  } catch (const std::exception& error) {
    return Error(ErrorCode::kInternal, "native code", error.what());
  } catch (...) {
    return Error(ErrorCode::kInternal, "native code", "an unknown exception");
  }
}

Napi::Value error_to_js(Napi::Env env, const Error& error) {
  const Napi::Object object = Napi::Error::New(env, error.what()).Value();
  object.Set("code", error_code_name(error.code()));
  object.Set("where", error.where());
  object.Set("got", error.got());
  if (!error.expected().empty()) object.Set("expected", error.expected());
  return object;
}

}  // namespace multihead::binding

#include "binding/js_error.h"

#include <new>
#include <stdexcept>
#include <string>

#include "binding/js_value.h"

namespace multihead::binding {
namespace {

// Texts hold names that came from outside. One as long as a string can be would make a message that
// is longer, and so no error at all.
constexpr size_t kLongestText = 16 * 1024;

std::string shortened(const std::string& text) {
  return text.size() <= kLongestText ? text : text.substr(0, kLongestText) + "…";
}

}  // namespace

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
  const Napi::Object object = Napi::Error::New(env, shortened(error.what())).Value();
  const auto text = [env](const std::string& value) {
    return Napi::String::New(env, shortened(value));
  };
  set_own(object, "code", Napi::String::New(env, error_code_name(error.code())));
  set_own(object, "where", text(error.where()));
  set_own(object, "got", text(error.got()));
  if (!error.expected().empty()) set_own(object, "expected", text(error.expected()));
  return object;
}

}  // namespace multihead::binding

// jest's Node environment, except that `instanceof` sees objects made outside the sandbox as what they are.
//
// A test file runs in a vm context with intrinsics of its own, while the addon and Node itself make their
// objects in the main context: a Float32Array from the addon is no instance of the sandbox's class.
const { TestEnvironment } = require('jest-environment-node');
const { types } = require('node:util');

const SHARED = [
  'SharedArrayBuffer',
  'DataView',
  'Int8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
];

module.exports = class MainContextEnvironment extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    for (const name of SHARED) this.global[name] = globalThis[name];
    // Error cannot be shared likewise: the engine throws the sandbox's own RangeError and TypeError.
    const { Error: SandboxError, Function: SandboxFunction } = this.global;
    const ordinary = SandboxFunction.prototype[Symbol.hasInstance];
    Object.defineProperty(SandboxError, Symbol.hasInstance, {
      value(candidate) {
        const isError = this === SandboxError && types.isNativeError(candidate);
        return isError || ordinary.call(this, candidate);
      },
    });
  }
};

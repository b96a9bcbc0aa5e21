/**
 * `Symbol.dispose` and `Symbol.asyncDispose` where the runtime lacks them, as early releases of Node 20 do.
 *
 * To be imported before a class that has methods of these names is defined.
 */

for (const name of ['dispose', 'asyncDispose'] as const) {
  if (Symbol[name] !== undefined) continue;
  const value = Symbol.for(`Symbol.${name}`);
  Object.defineProperty(Symbol, name, { value, configurable: false, writable: false });
}

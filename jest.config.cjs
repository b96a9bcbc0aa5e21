// Tests run against lib/*.ts (compiled on the fly by swc) and the addon that `npm run build` made.
module.exports = {
  testEnvironment: '<rootDir>/test/environment.cjs',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/build/', '<rootDir>/dist/', '<rootDir>/bench/peers/'],
  transform: {
    '\\.[cm]?ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', explicitResourceManagement: true },
        },
        sourceMaps: 'inline',
      },
    ],
  },
  // Two tests at once, as many as the smallest machine that the project is built on has processors.
  maxWorkers: 2,
  testTimeout: 120_000,
};

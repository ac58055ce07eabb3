// The library as it is published: the built ES modules.
export * from '../dist/esm/index.js';

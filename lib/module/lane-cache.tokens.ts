/** The options as given, read and checked. */
export const LANE_CACHE_OPTIONS = Symbol.for('nestjs-lane-cache.options');

/** Everything of one app: its lanes, tiers, checkpoints. Once per Nest app. */
export const LANE_CACHE_APP = Symbol.for('nestjs-lane-cache.app');

/** What `forRootAsync({ useClass })` makes the options with. */
export const LANE_CACHE_OPTIONS_FACTORY = Symbol.for('nestjs-lane-cache.options-factory');

/** What makes the checkpoints of an app without a directory. Nothing provides it but the testing kit. */
export const LANE_CACHE_CHECKPOINTS = Symbol.for('nestjs-lane-cache.checkpoints');

/** What goes to OpenTelemetry. Provided only where it is turned on. */
export const LANE_CACHE_TELEMETRY = Symbol.for('nestjs-lane-cache.telemetry');

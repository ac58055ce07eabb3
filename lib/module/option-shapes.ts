import { ofLanes, settings } from '../app/option-shapes.js';
import { anything, either, flag, fn, listOf, names, object, text } from '../options/kinds.js';
import { defineOptions, type Kinds } from '../options/options-shape.js';
import type {
  LaneCacheModuleAsyncOptions,
  LaneCacheModuleExtras,
  LaneCacheModuleOptions,
  MetricsControllerOptions,
} from './lane-cache.module.js';

const CONTROLLER = defineOptions<MetricsControllerOptions>('LaneCacheModule', {
  path: text,
  guards: listOf(either(fn, object), 'guards') as never,
});

const extras: Kinds<LaneCacheModuleExtras> = {
  isGlobal: flag,
  metrics: defineOptions<NonNullable<LaneCacheModuleExtras['metrics']>>('LaneCacheModule', {
    controller: either(flag, CONTROLLER),
  }),
  provideCacheManager: flag,
  extraProviders: listOf(anything, 'providers'),
};

export const EXTRAS = defineOptions<LaneCacheModuleExtras>('LaneCacheModule', extras);

export const MODULE_OPTIONS = defineOptions<LaneCacheModuleOptions>(
  'LaneCacheModule',
  { ...settings, ...extras },
  { elsewhere: ofLanes },
);

const OF_FACTORY = 'Return it from useFactory.';

export const ASYNC_OPTIONS = defineOptions<LaneCacheModuleAsyncOptions>(
  'forRootAsync',
  {
    ...extras,
    imports: listOf(anything, 'modules') as never,
    inject: listOf(anything, 'tokens'),
    useFactory: fn,
    useClass: fn,
    useExisting: fn,
    laneNames: names,
  },
  { elsewhere: { ...ofLanes, ...Object.fromEntries(Object.keys(settings).map((name) => [name, OF_FACTORY])) } },
);

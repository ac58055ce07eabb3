import { Module } from '@nestjs/common';
import {
  Cached,
  CacheManager,
  Checkpointed,
  getLaneToken,
  InjectLane,
  LaneCacheModule,
  type LaneCacheOptions,
} from 'nestjs-lane-cache';

declare module 'nestjs-lane-cache' {
  interface LaneNames {
    models: true;
  }
}

@Module({ imports: [LaneCacheModule.forRoot({ lane: 'models', lanes: { models: { extends: 'heavy' }, docs: {} } })] })
export class App {}

export class Service {
  constructor(@InjectLane('models') readonly models: CacheManager) {}

  @Cached('models')
  async load(id: string): Promise<string> {
    return id;
  }

  @Cached({ lane: 'docs', key: (id) => id })
  async page(id: string): Promise<string> {
    return id;
  }

  @Checkpointed({ id: (id) => id, lane: 'models' })
  async work(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error -- no lane has this name
  @Cached('model')
  async misspelt(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error -- no lane has this name
  @Cached({ lane: 'model' })
  async misspeltOption(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error -- no lane has this name
  @Checkpointed({ id: (id) => id, lane: 'model' })
  async misspeltStep(id: string): Promise<string> {
    return id;
  }
}

export class Misspelt {
  // @ts-expect-error -- no lane has this name
  constructor(@InjectLane('model') readonly models: CacheManager) {}
}

// @ts-expect-error -- no lane has this name
export const settings: LaneCacheOptions = { lane: 'model' };
// @ts-expect-error -- no lane has this name
export const lanes: LaneCacheOptions = { lanes: { model: { extends: 'heavy' } } };
// @ts-expect-error -- no lane has this name
export const token = getLaneToken('model');
export const factory = LaneCacheModule.forRootAsync({
  useFactory: () => 'models' as const,
  // @ts-expect-error -- no lane has this name
  laneNames: ['model'],
});

export const use = (cache: CacheManager): CacheManager => {
  // @ts-expect-error -- no lane has this name
  cache.forLane('model');
  return cache.forLane('models').forLane('heavy');
};
